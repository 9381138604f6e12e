"""How an entry point meets its user: flags in, one clear line out."""

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import flags, logging
from ml_collections import ConfigDict

from eval.metrics.errors import InputError
from qlae.common.errors import RunFailed, UserError, make_unknown_name_error

USER_ERRORS = (UserError, InputError, OSError)


def run(main: Callable[[], int | None]) -> None:
    """Parses the command line, calls `main`, and exits.

    Exit codes: what `main` returns (None is 0), 1 for a run that failed, 2 for a user's mistake;
    the last two with one line on stderr.
    """
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(sys.modules["__main__"].__doc__)
        for module in flags.FLAGS.flags_by_module_dict():
            if module == sys.argv[0] or module.startswith("experiments."):
                print(flags.FLAGS.module_help(module))
        sys.exit(0)
    try:
        check_config_flags(sys.argv[1:])
        extra = flags.FLAGS(sys.argv)[1:]
        # Orbax logs, with a traceback, what it also raises.
        logging.set_verbosity(logging.FATAL)
        if extra:
            raise UserError(f"unexpected argument {extra[0]!r}: all arguments are --flags")
        sys.exit(main())
    except (*USER_ERRORS, flags.Error) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except RunFailed as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped at once; the same command resumes", file=sys.stderr, flush=True)
        os._exit(130)  # not waiting for steps that the device still has to take


def check_config_flags(arguments: list[str]) -> None:
    """Checks `--config` and `--config.KEY` beforehand, for clearer lines than their parser has.

    Raises:
        UserError: a config file that does not exist or has no `get_config`, an unknown key.
    """
    path = None
    for name, value in _flags(arguments):
        if name == "config":
            path = value
    if path is None:
        return
    keys = list(_keys(load_config(path)))
    for name, _ in _flags(arguments):
        key = name.removeprefix("config.")
        if key != name and key not in keys:
            raise make_unknown_name_error("config key", key, keys)


def load_config(path_and_argument: str) -> ConfigDict:
    """Returns `get_config` of a config file, given as `file.py` or `file.py:argument`.

    Raises:
        UserError: no such file, or no such argument.
    """
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


def _flags(arguments: list[str]) -> Iterator[tuple[str, str]]:
    for index, argument in enumerate(arguments):
        if match := re.fullmatch(r"--?([^=]+)(?:=(.*))?", argument, re.DOTALL):
            following = arguments[index + 1] if index + 1 < len(arguments) else ""
            yield match[1], following if match[2] is None else match[2]


def _keys(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield prefix + key
        if isinstance(value, ConfigDict):
            yield from _keys(value, f"{prefix}{key}.")
