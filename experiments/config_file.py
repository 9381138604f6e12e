"""Config files: `file.py` or `file.py:argument`, with overrides `--config.KEY=VALUE`."""

import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from qlae.common.command_line import Parser
from qlae.common.errors import UserError, make_unknown_name_error


def load_config(path_and_argument: str, overrides: Sequence[str] = ()) -> ConfigDict:
    """Returns `get_config` of a config file, given as `file.py` or `file.py:argument`.

    Args:
        path_and_argument: relative to the current directory, or absolute.
        overrides: `--config.KEY=VALUE` each; a value has the type of the one it replaces.

    Raises:
        UserError: no such file or argument, an unknown key, a value of a wrong type.
    """
    config = _load(path_and_argument)
    keys = list(_keys(config))
    for override in overrides:
        key = override.removeprefix("--config.").partition("=")[0]
        if key not in keys:
            raise make_unknown_name_error("config key", key, keys)
    if not overrides:
        return config
    values = flags.FlagValues()
    command = ["train", f"--config={path_and_argument}", *overrides]
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=command)
    try:
        values(command)
        return values.config
    except (flags.Error, ValueError, TypeError, SyntaxError) as error:
        line = " ".join(str(error).split())
        raise UserError(f"{' '.join(overrides)}: {line}") from error


def parse_with_overrides(parser: Parser, arguments: Sequence[str]) -> tuple:
    """Returns the parsed flags, and the `--config.KEY=VALUE` overrides among the arguments.

    Raises:
        UserError: an argument that is neither.
    """
    options, rest = parser.parse_known_args(arguments)
    overrides = list(_join(rest))
    return options, overrides


def _join(rest: Sequence[str]) -> Iterator[str]:
    """Yields overrides, `--config.KEY VALUE` joined as `--config.KEY=VALUE`."""
    words = iter(rest)
    for word in words:
        word = re.sub(r"^--init_from\b", "--config.init_from", word)
        if not re.match(r"--config\.\w", word):
            raise UserError(f"unknown argument {word!r}: all arguments are --flags (see --help)")
        if "=" not in word:
            value = next(words, None)
            if value is None:
                raise UserError(f"{word} lacks its value: give {word}=VALUE")
            word = f"{word}={value}"
        yield word


def _load(path_and_argument: str) -> ConfigDict:
    path, _, argument = path_and_argument.partition(":")
    if not Path(path).is_file():
        raise UserError(f"no config file {path!r}; see experiments/configs/")
    spec = importlib.util.spec_from_file_location(f"config_{Path(path).stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path!r} is not a Python file; a config is a file with get_config")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise UserError(f"{path!r} is not a config: it has no get_config")
    return module.get_config(argument) if argument else module.get_config()


def _keys(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield prefix + key
        if isinstance(value, ConfigDict):
            yield from _keys(value, f"{prefix}{key}.")
