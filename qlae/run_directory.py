"""What a run directory says of its run: config, progress, and how it ended."""

import contextlib
import hashlib
import importlib.metadata
import json
import uuid
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from qlae.common.errors import UserError
from qlae.training.checkpoint import list_steps

# What may differ when a run resumes: it changes how the run is watched or laid out, no result.
_RESUMABLE = ("log_every", "mesh", "profile", "eval")
# Of `data`: another machine keeps the same images elsewhere.
_RESUMABLE_DATA = ("data_dir", "cache")
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


class RunDirectory:
    """The files of one run beside its checkpoints; the path may be remote (`gs://`)."""

    def __init__(self, workdir: epath.PathLike):
        path = epath.Path(workdir)
        # Orbax takes absolute paths alone; a remote one is absolute already.
        self.path = path if "://" in str(workdir) else path.expanduser().resolve()

    @property
    def _config(self) -> epath.Path:
        return self.path / "config.json"

    @property
    def _failed(self) -> epath.Path:
        return self.path / "FAILED"

    @property
    def _progress(self) -> epath.Path:
        return self.path / "progress.json"

    def claim(self, config: ConfigDict) -> None:
        """Makes the directory this config's, or checks that it is; forgets an earlier failure.

        Raises:
            UserError: it holds a run of another config or something else, or cannot be written.
        """
        config_dict = to_plain(config)
        try:
            if self._config.exists():
                self._check_same(config_dict)
            elif self.path.exists() and any(map(_is_foreign, self.path.iterdir())):
                raise UserError(f"{self.path} is not empty and holds no run; use another --workdir")
            # Written again on a resume too: what may differ then is what the evaluator reads.
            self.path.mkdir(parents=True, exist_ok=True)
            self._write(self._config, {"config": config_dict, "versions": get_versions()})
            self._failed.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"cannot write to {self.path}: {error.strerror or error}") from error

    def load_config(self) -> ConfigDict:
        """Reads the config of the run.

        Raises:
            UserError: there is no run here, or its config cannot be read.
        """
        if not self._config.exists():
            raise UserError(f"no run at {self.path}: it has no config.json; check --workdir")
        try:
            return ConfigDict(json.loads(self._config.read_text())["config"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self._config} is not a run's config: {error}") from error

    def fail(self, reason: str) -> None:
        """Notes that training ended without completing, so that nobody waits for it."""
        self._failed.write_text(reason + "\n")

    @property
    def failure(self) -> str | None:
        """Why training failed, or None."""
        return self._failed.read_text().strip() if self._failed.exists() else None

    @property
    def is_complete(self) -> bool:
        """Whether the checkpoint of the last step is there."""
        return self.load_config().num_steps in list_steps(self.path)

    def write_progress(self, progress: dict[str, Any]) -> None:
        """Notes how far training is, for a restart's live line; no reason to stop if it fails."""
        with contextlib.suppress(OSError):
            self._write(self._progress, progress)

    def load_progress(self) -> dict[str, Any]:
        """Reads what `write_progress` wrote, {} if nothing readable."""
        try:
            return json.loads(self._progress.read_text())
        except (OSError, ValueError):
            return {}

    def _check_same(self, config_dict: dict[str, Any]) -> None:
        old = _flatten(_identity(to_plain(self.load_config())))
        new = _flatten(_identity(config_dict))
        differing = sorted(key for key in old | new if old.get(key) != new.get(key))
        if differing:
            key = differing[0]
            more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
            raise UserError(
                f"{self.path} holds a run of another config: {key} is {old.get(key)!r} there and "
                f"{new.get(key)!r} here{more}; use another --workdir, or that config to resume"
            )

    def _write(self, path: epath.Path, value: dict[str, Any]) -> None:
        write_whole(path, json.dumps(value, indent=2) + "\n")


def write_whole(path: epath.Path, text: str) -> None:
    """Writes a file whole or not at all; a reader never sees it unfinished under its own name."""
    if "://" in str(path):
        path.write_text(text)  # an object appears when it is whole
        return
    unfinished = path.parent / f".{path.name}.{uuid.uuid4().hex}.unfinished"
    try:
        unfinished.write_text(text)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _is_foreign(path: epath.Path) -> bool:
    """Whether a file in a directory without a config is none that a killed claim left behind."""
    return not path.name.startswith(".config.json.")


def to_plain(config: ConfigDict) -> dict[str, Any]:
    """Returns a config as it comes back from JSON: tuples are lists, placeholders resolved."""
    return json.loads(config.to_json())


def get_config_id(config: ConfigDict) -> str:
    """Returns a short hash of all in a config that decides a run's results, except its seed."""
    identity = _identity(to_plain(config))
    identity.pop("seed")
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def get_versions() -> dict[str, str]:
    """Returns the versions of the packages that decide a run's numbers."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def _identity(config_dict: dict[str, Any]) -> dict[str, Any]:
    identity = {key: value for key, value in config_dict.items() if key not in _RESUMABLE}
    if "data" in identity:
        data = identity["data"].items()
        identity["data"] = {key: value for key, value in data if key not in _RESUMABLE_DATA}
    return identity


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
