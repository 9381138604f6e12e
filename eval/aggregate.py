"""Averages of records over seeds and datasets, only of like with like."""

import collections
import dataclasses
import itertools
from collections.abc import Iterable

import numpy as np
from scipy import stats

from eval.records import Record
from eval.tables import ALL_DATASETS, Cell, Table
from qlae.common.errors import UserError

DEFAULT_SCORES = ("infom", "infoe", "infoc")
CONFIDENCE = 0.95
# Every other score is better when it is higher.
_LOWER_IS_BETTER = ("bce", "mse", "mae", "loss", "error", "fid")


def make_tables(
    records: list[Record], scores: Iterable[str] = DEFAULT_SCORES
) -> tuple[list[Table], list[str]]:
    """One table for each protocol, metric version, step and number of samples; and notes.

    Args:
      records: one for each run that counts; a seed that occurs twice counts once.
      scores: names of scores; ("all",) for every score of the records.

    Raises:
      UserError: a score that no record has.
    """
    scores = _known_scores(records, tuple(scores))
    records, notes = _without_duplicates(records)
    groups = collections.defaultdict(list)
    for record in records:
        key = (record.protocol, record.metric_version, record.step, record.num_samples)
        groups[key].append(record)
    if len(groups) > 1:
        notes.append(
            "records of different protocol, metric version, step or number of samples are never "
            f"averaged together: there are {len(groups)} tables"
        )
    made = []
    for key in sorted(groups):
        cells, more_notes = _make_cells(groups[key], scores)
        made.append(Table(*key, scores=scores, cells=cells))
        notes += more_notes
    return made, list(dict.fromkeys(notes))


def compute_interval(values: Iterable[float]) -> tuple[float, float | None, float]:
    """Mean, half width of its 95% t interval (ddof 1; None for one value) and squared error."""
    values = np.array(list(values), dtype=np.float64)
    if len(values) < 2:
        return float(values.mean()), None, 0.0
    squared_error = float(values.var(ddof=1) / len(values))
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    return float(values.mean()), float(quantile * squared_error**0.5), squared_error


def _make_cells(records: list[Record], scores: tuple[str, ...]) -> tuple[list[Cell], list[str]]:
    """The cells of one table, best ones marked."""
    labels, notes = _row_labels(records)
    values = collections.defaultdict(list)
    for record in records:
        for score in scores:
            value = record.scores.get(score, np.nan)
            if np.isfinite(value):
                values[record.dataset, labels[_row_key(record)], score].append(value)
            else:
                notes.append(
                    f"seed {record.seed} of {record.model} on {record.dataset} has no {score} "
                    f"at step {record.step} ({record.protocol}): it is averaged without it"
                )
    cells = []
    for (dataset, row, score), found in values.items():
        mean, half_width, _ = compute_interval(found)
        cells.append(Cell(dataset, row, score, mean, half_width, len(found)))
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

    The mean of a single run is taken for an interval without width.
    """
    columns = collections.defaultdict(list)
    for cell in cells:
        columns[cell.dataset, cell.score].append(cell)
    marked = []
    for (_, score), column in columns.items():
        sign = -1 if any(word in score for word in _LOWER_IS_BETTER) else 1
        best = max(column, key=lambda cell: sign * cell.mean)
        for cell in column:
            reach = (cell.half_width or 0.0) + (best.half_width or 0.0)
            is_best = abs(best.mean - cell.mean) <= reach
            marked.append(dataclasses.replace(cell, is_best=is_best))
    return marked


def _row_key(record: Record) -> tuple[str, str, str]:
    return record.dataset, record.model, record.config_id


def run_key(record: Record) -> tuple[str, str, str, int]:
    """What makes a run: records that share it are the same run, evaluated in different ways."""
    return (*_row_key(record), record.seed)


def _row_labels(records: list[Record]) -> tuple[dict[tuple[str, str, str], str], list[str]]:
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


def _without_duplicates(records: list[Record]) -> tuple[list[Record], list[str]]:
    """One record for each run and kind of evaluation; a second one is no independent sample."""
    kept: dict[tuple, Record] = {}
    notes = []
    for record in records:
        kind = (record.protocol, record.metric_version, record.step, record.num_samples)
        key = (*run_key(record), *kind)
        if key in kept:
            notes.append(
                f"seed {record.seed} of {record.model} on {record.dataset} occurs more than once "
                f"at step {record.step} ({record.protocol}): only the first counts"
            )
        kept.setdefault(key, record)
    return list(kept.values()), notes


def _known_scores(records: list[Record], scores: tuple[str, ...]) -> tuple[str, ...]:
    known = dict.fromkeys(itertools.chain.from_iterable(record.scores for record in records))
    if scores == ("all",):
        return tuple(known)
    for score in scores:
        if score not in known:
            raise UserError(f"no record has a score {score!r}: there is {', '.join(known)}")
    return scores
