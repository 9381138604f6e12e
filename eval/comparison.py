"""Differences from one arm, seed by seed: what two arms of the same seeds share cancels out."""

import collections
import difflib
from collections.abc import Iterable

import numpy as np

from eval.aggregate import (
    DEFAULT_SCORES,
    choose_scores,
    compute_interval,
    drop_duplicates,
    get_kind,
    get_row,
    label_rows,
)
from eval.records import Record
from eval.tables import Cell, Table
from qlae.common.errors import UserError


def make_comparisons(
    records: list[Record], against: str, scores: Iterable[str] = DEFAULT_SCORES
) -> list[Table]:
    """One table of paired differences for each kind of record in which the arm occurs.

    Args:
      records: one for each run that counts.
      against: the label of the row to compare with, such as "ae".
      scores: names of scores; ("all",) for every score of the records.

    Returns:
      Tables whose cells hold mean differences over the seeds that both rows have, and intervals
      from two such seeds on; marked where the interval excludes 0.

    Raises:
      UserError: no such row, or a score that no record has.
    """
    scores = choose_scores(records, tuple(scores))
    records, _ = drop_duplicates(records)
    groups = collections.defaultdict(list)
    for record in records:
        groups[get_kind(record)].append(record)
    made: list[Table] = []
    rows: set[str] = set()
    for kind in sorted(groups):
        labels, _ = label_rows(groups[kind])
        rows |= set(labels.values())
        cells = _compare(groups[kind], labels, scores, against)
        if cells:
            made.append(Table(kind, scores, cells, against))
    if against not in rows:
        near = difflib.get_close_matches(against, rows, n=1, cutoff=0.0)
        there = ", ".join(sorted(rows))
        raise UserError(f"no row is called {against!r}, did you mean {near[0]!r}? one of {there}")
    return made


def _compare(
    records: list[Record],
    labels: dict[tuple[str, str, str], str],
    scores: tuple[str, ...],
    against: str,
) -> list[Cell]:
    values: dict[tuple[str, str], dict[int, Record]] = collections.defaultdict(dict)
    for record in records:
        values[record.dataset, labels[get_row(record)]][record.seed] = record
    cells = []
    for (dataset, row), by_seed in sorted(values.items()):
        others = values.get((dataset, against))
        if row == against or not others:
            continue
        for score in scores:
            pairs = (
                by_seed[seed].scores.get(score, np.nan) - others[seed].scores.get(score, np.nan)
                for seed in sorted(set(by_seed) & set(others))
            )
            differences = [value for value in pairs if np.isfinite(value)]
            if differences:
                mean, half_width, _ = compute_interval(differences)
                excludes_0 = half_width is not None and abs(mean) > half_width
                count = len(differences)
                cells.append(Cell(dataset, row, score, mean, half_width, count, is_best=excludes_0))
    return cells
