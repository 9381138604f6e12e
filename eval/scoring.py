"""What a config says of scoring: which metrics, by which dialect, on which images."""

import dataclasses
from collections.abc import Iterable

from etils import epath
from ml_collections import ConfigDict

from eval.metrics.dialects import DEFAULT_DIALECT, get_dialect
from eval.metrics.errors import InputError
from eval.metrics.registry import METRIC_VERSION, get_metric
from eval.records import load_record, mark_dialect, record_path
from qlae.common.errors import UserError, make_unknown_name_error

SPLITS = ("validation", "test")
PAPER_DIALECT = "lq2023_trainer"
# Records that were read and have these metrics, so that a store is asked once for each.
_WHOLE: set[tuple[epath.Path, tuple[str, ...]]] = set()


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for instead of what a run's config says; empty is what that says.

    Attributes:
        metrics: names.
        dialect: of InfoMEC.
        splits: names.
    """

    metrics: tuple[str, ...] = ()
    dialect: str = ""
    splits: tuple[str, ...] = ()

    def check(self, where: str = "") -> None:
        """Raises `UserError`, with the nearest name, for a name that is none."""
        try:
            for name in self.metrics:
                get_metric(name)
            if self.dialect:
                get_dialect(self.dialect)
        except InputError as error:
            raise UserError(f"{where}{error}") from error
        for name in self.splits:
            if name not in SPLITS:
                raise make_unknown_name_error("split", name, SPLITS)

    def apply(self, config: ConfigDict) -> ConfigDict:
        """Returns a run's config with what is asked for."""
        asked = {name: value for name, value in dataclasses.asdict(self).items() if value}
        return ConfigDict({**config.to_dict(), "eval": {**config.eval.to_dict(), **asked}})


def check_scoring(config: ConfigDict) -> None:
    """Raises `UserError`, with the nearest name, for a metric, dialect or split that is none."""
    splits = list_splits(config)
    if not splits:
        raise UserError(f"config.eval.splits is empty: name some of {', '.join(SPLITS)}")
    Request(tuple(config.eval.metrics), choose_dialect(config), splits).check("config.eval: ")


def choose_dialect(config: ConfigDict) -> str:
    """Returns the dialect of InfoMEC: what the config names, or else what its protocol goes by."""
    named = config.eval.get("dialect", "")
    return named or (PAPER_DIALECT if config.data.protocol == "paper" else DEFAULT_DIALECT)


def list_splits(config: ConfigDict, step: int | None = None) -> tuple[str, ...]:
    """Returns which images the checkpoint of a step is scored on; all that are ever, for None.

    Where choices are made on validation, test is scored for what is reported, the last step.
    """
    splits = tuple(config.eval.get("splits", ("test",)))
    if step is None or step == config.num_steps or "validation" not in splits:
        return splits
    return tuple(name for name in splits if name == "validation")


def find_record(workdir: epath.PathLike, config: ConfigDict, step: int, split: str) -> epath.Path:
    """Returns where the record of a checkpoint lies that this version of the metrics makes."""
    # Records of another dialect are other records: an evaluation by it is still to be made.
    version = METRIC_VERSION + mark_dialect(choose_dialect(config))
    return record_path(workdir, config.data.protocol, step, version, split)


def list_scored(workdir: epath.PathLike, config: ConfigDict, steps: Iterable[int]) -> list[int]:
    """Returns which of these steps have all the records that the config asks for."""
    known = {split: _list_names(workdir, config, split) for split in list_splits(config)}
    return [
        step
        for step in steps
        if all(
            (path := find_record(workdir, config, step, split)).name in known[split]
            and not list_missing(path, config)
            for split in list_splits(config, step)
        )
    ]


def list_missing(path: epath.Path, config: ConfigDict) -> list[str]:
    """Returns which metrics of a config a record lacks; a record says once what it has.

    None of one that cannot be read, or is older than the note of what it has.
    """
    wanted = tuple(config.eval.metrics)
    if (path, wanted) in _WHOLE:
        return []
    try:
        noted = load_record(path).metrics
    except UserError:
        return []
    missing = [name for name in wanted if noted and name not in noted]
    if not missing:
        _WHOLE.add((path, wanted))
    return missing


def _list_names(workdir: epath.PathLike, config: ConfigDict, split: str) -> set[str]:
    """Returns the names of all files beside the records of a split: one listing, however many."""
    folder = find_record(workdir, config, 0, split).parent
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
