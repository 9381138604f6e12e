"""What a run directory says of its run: config, progress, and how it ended."""

import contextlib
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from qlae.common.errors import UserError
from qlae.common.files import is_remote, to_path, write_whole, writing
from qlae.common.schema import COUNT, OBJECT, SEED, TEXT, find_wrong
from qlae.dataset_facts import DatasetFacts

# What may differ when a run resumes: it changes how the run is watched or laid out, no result.
_RESUMABLE = ("log_every", "mesh", "profile", "eval", "checkpoints")
# Of `data`: another machine keeps the same images elsewhere.
_RESUMABLE_DATA = ("data_dir", "cache")
DEFAULT_PRECISION = "default"
# What every command reads of a run's config, whatever its model.
_REQUIRED = {
    "arm": TEXT,
    "seed": SEED,
    "num_steps": COUNT,
    "data": OBJECT,
    "model": OBJECT,
    "weights": OBJECT,
    "eval": OBJECT,
}
COMMITTED = "commit_success.txt"  # Orbax writes it last; listing alone would miss its absence.
_LEASE = "lease.json"
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


class RunDirectory:
    """The files of one run beside its checkpoints; the path may be remote (`gs://`)."""

    def __init__(self, workdir: epath.PathLike):
        self.path = to_path(workdir)

    @property
    def _config(self) -> epath.Path:
        return self.path / "config.json"

    @property
    def _failed(self) -> epath.Path:
        return self.path / "FAILED"

    @property
    def _progress(self) -> epath.Path:
        return self.path / "progress.json"

    def check(self, config: ConfigDict) -> None:
        """Checks that the directory is free for a run of this config, or holds one.

        Raises:
            UserError: it holds a run of another config, or something else.
        """
        if self._config.exists():
            self._check_same(to_plain(config))
        elif self.path.exists() and any(map(_is_foreign, self.path.iterdir())):
            raise UserError(f"{self.path} is not empty and holds no run; use another --workdir")

    def claim(self, config: ConfigDict, facts: DatasetFacts) -> None:
        """Makes the directory this config's.

        Raises:
            UserError: `check` does, or the directory cannot be written.
            StorageError: the store did not answer as it should.
        """
        self.check(config)
        document = {
            "config": to_plain(config),
            "dataset": {
                "image_shape": list(facts.image_shape),
                "source_names": list(facts.source_names),
                "num_train": facts.num_train,
            },
            "versions": get_versions(),
        }
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            # Written again on a resume, too: what may differ then is what the evaluator reads.
            self._write(self._config, document)

    def load_config(self) -> ConfigDict:
        """Reads the config of the run.

        Raises:
            UserError: there is no run here, or its config cannot be read.
        """
        config = self._load_document()["config"]
        if wrong := find_wrong({"config": config}, {"config": OBJECT}):
            raise self._not_a_config(wrong)
        if missing := sorted(set(_REQUIRED) - set(config)):
            raise self._not_a_config(f"it lacks {', '.join(missing)}")
        if wrong := find_wrong(config, _REQUIRED):
            raise self._not_a_config(wrong)
        return ConfigDict(config)

    def load_facts(self) -> DatasetFacts:
        """Reads what the run's model has to know of its dataset; raises as `load_config` does."""
        try:
            return DatasetFacts(**self._load_document()["dataset"])
        except (KeyError, TypeError) as error:
            raise self._not_a_config(error) from error

    def load_versions(self) -> dict[str, str]:
        """Reads the versions of the packages that made the run; raises as `load_config` does."""
        return dict(self._load_document().get("versions", {}))

    def fail(self, reason: str) -> None:
        """Notes that training ended without completing, so that nobody waits for it."""
        write_whole(self._failed, reason + "\n")

    @property
    def failure(self) -> str | None:
        """Why training failed, or None; deleting the file gives the run another try."""
        if not self._failed.exists():
            return None
        return self._failed.read_bytes().decode(errors="replace").strip() or "nothing says why"

    @property
    def exists(self) -> bool:
        """Whether a run has begun here."""
        return self._config.exists()

    @property
    def is_complete(self) -> bool:
        """Whether the checkpoint of the last step is there."""
        return self.exists and self.load_config().num_steps in list_steps(self.path)

    @property
    def state(self) -> str:
        """ "complete", "failed", "interrupted" or "new"."""
        if not self.exists:
            return "new"
        if self.is_complete:
            return "complete"
        return "failed" if self.failure else "interrupted"

    def write_progress(self, progress: dict[str, Any]) -> None:
        """Notes how far training is, for a restart's live line; no reason to stop if it fails."""
        with contextlib.suppress(OSError):
            self._write(self._progress, progress)

    def load_progress(self) -> dict[str, Any]:
        """Reads what `write_progress` wrote, {} if nothing readable."""
        try:
            progress = json.loads(self._progress.read_text())
        except (OSError, ValueError):
            return {}
        return progress if isinstance(progress, dict) else {}

    def _load_document(self) -> dict[str, Any]:
        try:
            document = json.loads(self._config.read_text())
        except FileNotFoundError as error:
            raise UserError(
                f"no run at {self.path}: it has no config.json; check --workdir"
            ) from error
        except (ValueError, RecursionError) as error:
            raise self._not_a_config(error) from error
        if not isinstance(document, dict) or "config" not in document:
            raise self._not_a_config("it is no object with a config")
        return document

    def _not_a_config(self, why: object) -> UserError:
        return UserError(f"{self._config} is not a run's config: {why}")

    def _check_same(self, config_dict: dict[str, Any]) -> None:
        old = flatten(_identity(to_plain(self.load_config())))
        new = flatten(_identity(config_dict))
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


def get_checkpoint_path(workdir: epath.PathLike, step: int | None = None) -> epath.Path:
    """Returns where a run keeps the checkpoint of a step, or all of them."""
    path = epath.Path(workdir) / "checkpoints"
    return path if step is None else path / str(step)


def get_lease_path(workdir: epath.PathLike) -> epath.Path:
    """Returns where the process that trains a run writes down that it does."""
    return epath.Path(workdir) / _LEASE


def list_steps(workdir: epath.PathLike) -> list[int]:
    """Returns the steps of all finalised checkpoints of a run, ascending; reads, never writes."""
    # One listing, whatever their number: a store takes a while for each operation.
    names = (path.parent.name for path in get_checkpoint_path(workdir).glob(f"*/{COMMITTED}"))
    return sorted(int(name) for name in names if name.isdecimal() and name.isascii())


def delete_checkpoints(workdir: epath.PathLike, steps: Sequence[int]) -> None:
    """Deletes checkpoints of a run, and what an earlier call was killed over.

    What is being deleted is noted first and loses its marker next: nobody takes a half for a whole.
    """
    notes = epath.Path(workdir) / "retired"
    if steps:
        notes.mkdir(exist_ok=True)
    for step in steps:
        (notes / str(step)).write_text("")
        (get_checkpoint_path(workdir, step) / COMMITTED).unlink(missing_ok=True)
    for note in notes.iterdir() if notes.exists() else ():
        path = get_checkpoint_path(workdir) / note.name
        if path.exists() and not (path / COMMITTED).exists():
            path.rmtree()
        note.unlink()


def find_runs(root: epath.PathLike) -> list[epath.Path]:
    """Returns the run directories at or below a directory, in order of name.

    A run, a population's directory, a sweep's, a folder of any of them, local or remote: a run is
    where a `config.json` lies, and holds no other run. Links are not followed below the root.
    """
    return list(_find_below(to_path(root)))


def _find_below(path: epath.Path) -> Iterator[epath.Path]:
    if (path / "config.json").exists():
        yield path
        return
    if path.is_dir():
        for child in sorted(path.iterdir()):
            # A link can close a circle; and what begins with a dot is nobody's run.
            if not child.name.startswith(".") and not _is_link(child) and child.is_dir():
                yield from _find_below(child)


def _is_link(path: epath.Path) -> bool:
    return not is_remote(path) and os.path.islink(path)


def _is_foreign(path: epath.Path) -> bool:
    """Whether a file in a directory without a config is none that a killed claim left behind."""
    return not path.name.startswith((".config.json.", _LEASE, f".{_LEASE}."))


def to_plain(config: ConfigDict) -> dict[str, Any]:
    """Returns a config as it comes back from JSON: tuples are lists, placeholders resolved."""
    return json.loads(config.to_json())


def get_config_id(config: ConfigDict) -> str:
    """Returns a short hash of all in a config that decides a run's results, except its seed."""
    identity = _identity(to_plain(config))
    identity.pop("seed")
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def get_matmul_precision(config: ConfigDict) -> str:
    """Returns the precision of a step's products; runs from before there was a choice lack it."""
    return config.get("matmul_precision", DEFAULT_PRECISION)


def get_versions() -> dict[str, str]:
    """Returns the versions of the packages that decide a run's numbers, of those installed."""
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _identity(config_dict: dict[str, Any]) -> dict[str, Any]:
    identity = {key: value for key, value in config_dict.items() if key not in _RESUMABLE}
    if identity.get("matmul_precision") == DEFAULT_PRECISION:  # As in runs that lack it.
        del identity["matmul_precision"]
    if "data" in identity:
        data = identity["data"].items()
        identity["data"] = {key: value for key, value in data if key not in _RESUMABLE_DATA}
    return identity


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the leaves of nested dicts by their dotted path."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
