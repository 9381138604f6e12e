"""Records: the numbers of one checkpoint under one protocol, as one small JSON file."""

import dataclasses
import json
import math
import re
from typing import Any

from etils import epath

from eval.metrics.dialects import DEFAULT_DIALECT
from qlae.common.errors import UserError
from qlae.common.files import write_whole
from qlae.common.schema import (
    COUNT,
    NOT_NEGATIVE,
    NUMBER,
    SEED,
    TEXT,
    TRUTH,
    WHOLE,
    WORD,
    Rule,
    by_name,
    each,
    find_wrong,
    matrix,
    maybe,
)

_FILE_NAME = re.compile(r"step_(\d{9,})\.metrics_(.+)\.json")


@dataclasses.dataclass(frozen=True)
class Record:
    """What was measured, and everything that decides with which other records it may be averaged.

    Attributes:
      model: row label of a table, e.g. "qlae".
      dataset: column label of a table, e.g. "shapes3d".
      seed: seed of the model.
      protocol: how the grid was divided: "heldout", "compositional", "paper", ...
      step: number of updates behind the checkpoint.
      metric_version: version of the code that computed the scores.
      num_samples: number of samples that were encoded.
      scores: flat scalars, e.g. "infom", "psnr", "dci_disentanglement".
      errors: by metric name, one line on why it failed.
      source_names: rows of `nmi_SxZ`.
      nmi_SxZ: rows are sources; None where InfoMEC did not run.
      active_latents: one per latent; None where InfoMEC did not run.
      versions: package name to version.
      config_id: hash of the configuration without its seed; runs of a row share it.
      matmul_precision: of the products of its training steps.
      split: which of its sets was scored: "test" or "validation".
      dialect: of InfoMEC.
      decisions: how its numbers were computed, in words.
      ceilings: by score what a perfect code reaches on these samples, where that is below 0.98.
      latent_sample: latents of a few of the samples, always the same images for a split, by which
        runs can be compared without labels; None where they are not kept.
      metrics: names of those that were computed, or failed; [] where that was not noted yet.
    """

    model: str
    dataset: str
    seed: int
    protocol: str
    step: int
    metric_version: str
    num_samples: int
    scores: dict[str, float]
    errors: dict[str, str] = dataclasses.field(default_factory=dict)
    source_names: list[str] = dataclasses.field(default_factory=list)
    nmi_SxZ: list[list[float]] | None = None
    active_latents: list[bool] | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    config_id: str = ""
    matmul_precision: str = "default"
    split: str = "test"
    dialect: str = DEFAULT_DIALECT
    decisions: dict[str, str] = dataclasses.field(default_factory=dict)
    ceilings: dict[str, float] = dataclasses.field(default_factory=dict)
    latent_sample: list[list[float]] | None = None
    metrics: list[str] = dataclasses.field(default_factory=list)


RULES: dict[str, Rule] = {
    "model": TEXT,
    "dataset": TEXT,
    "seed": SEED,
    "protocol": WORD,
    "step": WHOLE,
    "metric_version": WORD,
    "num_samples": COUNT,
    "scores": by_name(maybe(NUMBER)),
    "errors": by_name(TEXT),
    "source_names": each(TEXT),
    "nmi_SxZ": maybe(matrix(NOT_NEGATIVE)),
    "active_latents": maybe(each(TRUTH)),
    "versions": by_name(TEXT),
    "config_id": TEXT,
    "matmul_precision": WORD,
    "split": WORD,
    "dialect": WORD,
    "decisions": by_name(TEXT),
    "ceilings": by_name(NUMBER),
    "latent_sample": maybe(matrix(NUMBER)),
    "metrics": each(WORD),
}


def record_path(
    workdir: epath.PathLike, protocol: str, step: int, metric_version: str, split: str = "test"
) -> epath.Path:
    """Where the record of one step under one protocol lies; the name orders files by step.

    Records of other splits than test lie in a folder of their own, `PROTOCOL-SPLIT`.
    """
    for name, word in (("protocol", protocol), ("metric version", metric_version)):
        if not WORD.holds(word):
            raise UserError(f"{name} {word!r} cannot name a file: use letters, digits, . _ -")
    name = f"step_{step:09d}.metrics_{metric_version}.json"
    folder = protocol if split == "test" else f"{protocol}-{split}"
    return epath.Path(workdir) / "eval" / folder / name


def mark_dialect(dialect: str) -> str:
    """Returns what tells a dialect's files and curves from the default's, which have no mark."""
    return "" if dialect == DEFAULT_DIALECT else f".{dialect}"


def write_record(workdir: epath.PathLike, record: Record) -> epath.Path:
    """Writes the record into its place in the run directory, whole or not at all; returns the path.

    A record of the same step, protocol and metric version is replaced.
    """
    version = record.metric_version + mark_dialect(record.dialect)
    path = record_path(workdir, record.protocol, record.step, version, record.split)
    text = json.dumps(_plain(dataclasses.asdict(record)), indent=2, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)
    return path


def load_records(workdir: epath.PathLike) -> list[Record]:
    """All records of a run directory, ordered by protocol, step and version; [] if none.

    Raises:
      UserError: a record that cannot be read, with its path.
    """
    files = sorted(_list_files(workdir), key=lambda file: (file.parent, file.name))
    return [load_record(file) for file in files]


def load_newest_record(workdir: epath.PathLike) -> Record | None:
    """The record of the latest step, reading no other; None if there is none.

    Raises:
      UserError: it cannot be read.
    """
    files = _list_files(workdir)
    # Of a step that has both, test before validation: "heldout" sorts before "heldout-validation".
    by_folder = sorted(files, key=lambda file: file.parent.name)
    return load_record(max(by_folder, key=lambda file: file.name)) if files else None


def _list_files(workdir: epath.PathLike) -> list[epath.Path]:
    root = epath.Path(workdir) / "eval"
    if not root.is_dir():
        return []
    return [
        file
        for protocol in root.iterdir()
        if protocol.is_dir()
        for file in protocol.iterdir()
        if _FILE_NAME.fullmatch(file.name)
    ]


def load_record(path: epath.PathLike) -> Record:
    """Reads one record; fields that a later version added are ignored.

    Raises:
      UserError: not JSON, or a field that is missing, with the path.
    """
    path = epath.Path(path)
    try:
        return _make_record(json.loads(path.read_text()))
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not a record ({' '.join(str(error).split())}): delete it and evaluate again"
        ) from error


def _make_record(values: Any) -> Record:
    """Returns the record that JSON holds; raises `ValueError` if it holds none."""
    if not isinstance(values, dict):
        raise ValueError("it is no object")
    fields = dataclasses.fields(Record)
    required = [field.name for field in fields if field.default is field.default_factory]
    if missing := [name for name in required if name not in values]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if wrong := find_wrong(values, RULES):
        raise ValueError(wrong)
    record = Record(**{name: values[name] for name in RULES if name in values})
    if record.nmi_SxZ is not None:
        shape = (len(record.nmi_SxZ), len(record.nmi_SxZ[0]) if record.nmi_SxZ else 0)
        named = (len(record.source_names), len(record.active_latents or ()))
        if shape != named:
            raise ValueError(f"nmi_SxZ is {shape}, source_names and active_latents {named}")
    scores = {
        name: math.nan if score is None else float(score) for name, score in record.scores.items()
    }
    return dataclasses.replace(record, scores=scores)


def _plain(value: Any) -> Any:
    """What JSON can hold: arrays as lists, numpy scalars as numbers, NaN and inf as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
