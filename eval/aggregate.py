"""Averages of records over seeds and datasets, only of like with like."""

import collections
import dataclasses
import itertools
from collections.abc import Iterable

import numpy as np
from scipy import stats

from eval.records import Record
from eval.tables import ALL_DATASETS, Cell, Kind, Table
from qlae.common.errors import UserError

DEFAULT_SCORES = ("infom", "infoe", "infoc", "num_active")
CONFIDENCE = 0.95
# Every other score is better when it is higher.
_LOWER_IS_BETTER = ("bce", "mse", "mae", "loss", "error", "fid")


@dataclasses.dataclass(frozen=True)
class Failure:
    """A run that ended early, by what a table knows it as."""

    dataset: str
    model: str
    config_id: str
    seed: int


def get_kind(record: Record) -> Kind:
    """What the record shares with those that it may be averaged with."""
    return Kind(
        record.protocol,
        record.split,
        record.dialect,
        record.metric_version,
        record.step,
        record.num_samples,
    )


def make_tables(
    records: list[Record],
    scores: Iterable[str] = DEFAULT_SCORES,
    failures: Iterable[Failure] = (),
) -> tuple[list[Table], list[str]]:
    """One table for each kind of record; and notes.

    Args:
      records: one for each run that counts; a seed that occurs twice counts once.
      scores: names of scores; ("all",) for every score of the records.
      failures: runs that diverged; those without a record in a table are counted beside its rows.

    Raises:
      UserError: a score that no record has.
    """
    scores = choose_scores(records, tuple(scores))
    records, notes = drop_duplicates(records)
    groups = collections.defaultdict(list)
    for record in records:
        groups[get_kind(record)].append(record)
    if len(groups) > 1:
        notes.append(
            "records of different protocol, split, dialect, metric version, step or number of "
            f"samples are never averaged together: there are {len(groups)} tables"
        )
    made = []
    for kind in sorted(groups):
        labels, more_notes = label_rows(groups[kind])
        cells, missing = _make_cells(groups[kind], scores, labels, list(failures))
        made.append(Table(kind, scores, cells))
        notes += [*more_notes, *missing]
    return made, list(dict.fromkeys(notes))


def compute_interval(values: Iterable[float]) -> tuple[float, float | None, float]:
    """Mean, half width of its 95% t interval (ddof 1; None for one value) and squared error."""
    values = np.array(list(values), dtype=np.float64)
    if len(values) < 2:
        return float(values.mean()), None, 0.0
    squared_error = float(values.var(ddof=1) / len(values))
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    return float(values.mean()), float(quantile * squared_error**0.5), squared_error


def _make_cells(
    records: list[Record],
    scores: tuple[str, ...],
    labels: dict[tuple[str, str, str], str],
    failures: list[Failure],
) -> tuple[list[Cell], list[str]]:
    """The cells of one table, best ones marked."""
    notes: list[str] = []
    ceilings = collections.defaultdict(list)
    scored = {run_key(record) for record in records}
    diverged: collections.Counter[tuple[str, str | None]] = collections.Counter()
    for failure in failures:
        row = (failure.dataset, failure.model, failure.config_id)
        if (*row, failure.seed) not in scored:
            diverged[failure.dataset, labels.get(row)] += 1
    values = collections.defaultdict(list)
    for record in records:
        for score in scores:
            value = record.scores.get(score, np.nan)
            if np.isfinite(value):
                values[record.dataset, labels[get_row(record)], score].append(value)
                if score in record.ceilings:
                    ceilings[record.dataset, score].append(record.ceilings[score])
            else:
                notes.append(
                    f"seed {record.seed} of {record.model} on {record.dataset} has no {score} "
                    f"at step {record.step} ({record.protocol}): it is averaged without it"
                )
    cells = []
    for (dataset, label, score), found in values.items():
        mean, half_width, _ = compute_interval(found)
        perfect = ceilings.get((dataset, score))
        ceiling = float(np.mean(perfect)) if perfect else None
        counts = (len(found), diverged[dataset, label])
        cells.append(Cell(dataset, label, score, mean, half_width, *counts, ceiling))
    datasets = {dataset for dataset, _, _ in values}
    if len(datasets) > 1:
        cells += _aggregate(values, datasets)
    return _mark_best(cells), notes


def _aggregate(values: dict[tuple[str, str, str], list[float]], datasets: set[str]) -> list[Cell]:
    """Mean over datasets for rows that have all of them, each dataset weighing the same.

    Runs of different datasets are independent, so squared errors add; degrees of freedom after
    Welch (1947) and Satterthwaite (1946).
    """
    cells = []
    for row, score in sorted({key[1:] for key in values}):
        samples = [values.get((dataset, row, score), []) for dataset in sorted(datasets)]
        if not all(samples):
            continue
        means, half_widths, errors = zip(*map(compute_interval, samples), strict=True)
        half_width = None
        if None not in half_widths:
            total = sum(errors)
            terms = (e**2 / (len(s) - 1) for e, s in zip(errors, samples, strict=True))
            freedom = total**2 / max(sum(terms), np.finfo(float).tiny) if total else 1.0
            quantile = stats.t.ppf((1 + CONFIDENCE) / 2, freedom)
            half_width = float(quantile * total**0.5 / len(samples))
        runs = sum(map(len, samples))
        cells.append(Cell(ALL_DATASETS, row, score, float(np.mean(means)), half_width, runs))
    return cells


def _mark_best(cells: list[Cell]) -> list[Cell]:
    """Marks, by dataset and score, the best mean and every cell whose interval meets its interval.

    The mean of a single run is taken for an interval without width, and is never marked; neither is
    a count of latents, which is not better for being large.
    """
    columns = collections.defaultdict(list)
    for cell in cells:
        columns[cell.dataset, cell.score].append(cell)
    marked = []
    for (_, score), column in columns.items():
        best = max(column, key=lambda cell: get_sign(score) * cell.mean)
        for cell in column:
            reach = (cell.half_width or 0.0) + (best.half_width or 0.0)
            is_best = (
                cell.half_width is not None
                and not score.startswith("num_")
                and abs(best.mean - cell.mean) <= reach
            )
            marked.append(dataclasses.replace(cell, is_best=is_best))
    return marked


def get_sign(score: str) -> int:
    """1 for a score that is better when it is higher, -1 for one that is better when lower."""
    return -1 if any(word in score for word in _LOWER_IS_BETTER) else 1


def get_row(record: Record) -> tuple[str, str, str]:
    """What a row of a table stands for: dataset, model, and id of the configuration."""
    return record.dataset, record.model, record.config_id


def run_key(record: Record) -> tuple[str, str, str, int]:
    """What makes a run: records that share it are the same run, evaluated in different ways."""
    return (*get_row(record), record.seed)


def label_rows(records: list[Record]) -> tuple[dict[tuple[str, str, str], str], list[str]]:
    """The line of each dataset, model and configuration: the model, told apart where needed.

    Configurations legitimately differ between datasets, so only several on one dataset are split.
    """
    configs = collections.defaultdict(set)
    for record in records:
        configs[record.dataset, record.model].add(record.config_id)
    labels, notes = {}, []
    for (dataset, model), ids in configs.items():
        for config_id in ids:
            own = model if len(ids) == 1 else f"{model} [{config_id[:8]}]"
            labels[dataset, model, config_id] = own
        if len(ids) > 1:
            notes.append(
                f"{model} on {dataset} has {len(ids)} configurations, which are never averaged "
                "together: each has a line of its own"
            )
    return labels, notes


def drop_duplicates(records: list[Record]) -> tuple[list[Record], list[str]]:
    """One record for each run and kind of evaluation; a second one is no independent sample."""
    kept: dict[tuple, Record] = {}
    notes = []
    for record in records:
        key = (*run_key(record), *get_kind(record))
        if key in kept:
            notes.append(
                f"seed {record.seed} of {record.model} on {record.dataset} occurs more than once "
                f"at step {record.step} ({record.protocol}): only the first counts"
            )
        kept.setdefault(key, record)
    return list(kept.values()), notes


def choose_scores(records: list[Record], scores: tuple[str, ...]) -> tuple[str, ...]:
    """The scores asked for: of the default those that there are, of "all" every one."""
    known = dict.fromkeys(itertools.chain.from_iterable(record.scores for record in records))
    if scores == ("all",):
        return tuple(known)
    if scores == DEFAULT_SCORES:
        return tuple(score for score in scores if score in known) or tuple(known)
    for score in scores:
        if score not in known:
            raise UserError(f"no record has a score {score!r}: there is {', '.join(known)}")
    return scores
