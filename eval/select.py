"""Choosing runs without labels, and what it is worth: `python -m eval.select ROOT --by=CRITERION`.

Of the runs at or below ROOT, the one that a criterion would choose, on validation images alone:

  loss   the least validation cross entropy of reconstructions
  gap    the least straight-through gap (Friede et al., 2023): what quantization costs; codes only
  udr    unsupervised disentanglement ranking (Duan et al., 2020): how well a run's latents agree
         with those of other seeds of its configuration
  labels the largest validation score named by --score: the ceiling, which practitioners lack

For each criterion follows the rank correlation, over runs, with --score on test images. `--by=all`
compares every criterion that the records allow.
"""

import argparse
import collections
import dataclasses
import sys
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from eval.aggregate import get_row
from eval.output import put_out
from eval.records import Record
from eval.results import choose, collect
from eval.udr import compute_udr
from qlae.common.command_line import Parser, run_command
from qlae.common.errors import UserError, make_unknown_name_error

Values = dict[tuple, float]


@dataclasses.dataclass(frozen=True)
class Choice:
    """What one criterion makes of a population.

    Attributes:
      criterion: its name.
      chosen: the run it chooses, as (dataset, model, id of the configuration, seed).
      test: the test score of that run; NaN if it has none.
      best: the best test score of all runs.
      correlation: Spearman's, over runs, between the criterion and the test score; NaN for fewer
        than three runs or where either never varies.
      num_runs: how many runs have both.
    """

    criterion: str
    chosen: tuple
    test: float
    best: float
    correlation: float
    num_runs: int


def main(arguments: Sequence[str]) -> None:
    """Prints what each criterion chooses."""
    options = _parse(arguments)
    if options.by not in ("all", *CRITERIA):
        raise make_unknown_name_error("criterion", options.by, ("all", *CRITERIA))
    records, _, notes = collect(options.runs)
    validation = choose(records, "validation", protocol=options.protocol)
    reported = choose(records, "test", protocol=options.protocol)
    names = list(CRITERIA) if options.by == "all" else [options.by]
    choices, missing = rank(validation, reported, names, options.score)
    if not choices:
        raise UserError(f"no choice by {options.by}: {missing[0]}")
    text = format_choices(choices, options.score)
    put_out(text, options.out, (*notes, *missing))


def rank(
    validation: list[Record], reported: list[Record], names: Sequence[str], score: str
) -> tuple[list[Choice], list[str]]:
    """Ranks the runs of each dataset by each criterion.

    Args:
      validation: one record of each run, of its validation images.
      reported: one record of each run, of its test images.
      names: criteria.
      score: what to correlate with, such as "infom".

    Returns:
      Choices, by dataset and criterion; and why criteria are missing.
    """
    choices, missing = [], []
    for dataset in sorted({record.dataset for record in validation}):
        candidates = [record for record in validation if record.dataset == dataset]
        tests = _read(reported, score)
        for name in names:
            values = CRITERIA[name](candidates, score)
            if len(values) < 1:
                missing.append(f"{dataset}: {_MISSING[name].format(score=score)}")
                continue
            choices.append(_choose(name, values, tests))
    return choices, missing


def format_choices(choices: list[Choice], score: str) -> str:
    """The choices as a table."""
    header = ["dataset", "criterion", "chooses", f"test {score}", "best", "rank corr.", "runs"]
    lines = [header]
    for choice in choices:
        dataset, model, config_id, seed = choice.chosen
        numbers = (choice.test, choice.best, choice.correlation)
        cells = ["-" if np.isnan(value) else f"{value:.3f}" for value in numbers]
        run = f"{model} [{config_id[:8]}] seed {seed}"
        lines.append([dataset, choice.criterion, run, *cells, str(choice.num_runs)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _by_loss(records: list[Record], score: str) -> Values:
    del score
    return {run: -value for run, value in _read(records, "bce").items()}


def _by_gap(records: list[Record], score: str) -> Values:
    del score
    return {run: -abs(value) for run, value in _read(records, "straight_through_gap").items()}


def _by_labels(records: list[Record], score: str) -> Values:
    return _read(records, score)


def _by_udr(records: list[Record], score: str) -> Values:
    """Each seed's agreement with the others of its configuration, by their stored similarities."""
    del score
    groups = collections.defaultdict(list)
    for record in records:
        groups[get_row(record)].append(record)
    values: Values = {}
    for group in groups.values():
        ranked = compute_udr([record.latent_sample for record in group])
        values |= {
            _run(record): value
            for record, value in zip(group, ranked, strict=True)
            if np.isfinite(value)
        }
    return values


CRITERIA: dict[str, Callable[[list[Record], str], Values]] = {
    "loss": _by_loss,
    "gap": _by_gap,
    "udr": _by_udr,
    "labels": _by_labels,
}
_MISSING = {
    "loss": "no validation record has a bce: evaluate with eval.splits that hold validation",
    "gap": "no validation record has a straight_through_gap: the runs have no discrete latents",
    "udr": "no configuration has two seeds with validation records that hold latents",
    "labels": "no validation record has the score {score}",
}


def _choose(name: str, values: Values, tests: Values) -> Choice:
    common = [run for run in values if run in tests]
    correlation = np.nan
    if len(common) > 2:
        pair = [[source[run] for run in common] for source in (values, tests)]
        if all(np.ptp(column) > 0 for column in pair):
            correlation = float(stats.spearmanr(*pair).statistic)
    chosen = max(values, key=lambda run: values[run])
    best = max((tests[run] for run in common), default=np.nan)
    return Choice(name, chosen, tests.get(chosen, np.nan), best, correlation, len(common))


def _read(records: list[Record], score: str) -> Values:
    values = {_run(record): record.scores.get(score, np.nan) for record in records}
    return {run: value for run, value in values.items() if np.isfinite(value)}


def _run(record: Record) -> tuple:
    return (*get_row(record), record.seed)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser("eval.select", __doc__)
    parser.add_argument("runs", nargs="+", metavar="ROOT", help="folder of runs")
    parser.add_argument("--by", default="all", help=f"all, or one of {', '.join(CRITERIA)}")
    parser.add_argument("--score", default="infom", help="of test images, to correlate with")
    parser.add_argument("--protocol", help="only this one")
    parser.add_argument("--out", help="write here instead of to standard output")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run_command(main))
