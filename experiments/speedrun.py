"""How soon a config disentangles: the one number by which schedules and quantizers are compared.

    python -m experiments.speedrun --root=runs/speedrun [--target=0.9] [--change="what is new"]

Trains ten seeds, unless they are trained already, one after the other, with the machine to
themselves, and scores every checkpoint on validation images once training is over. A seed's time is
that at which InfoM first reached the target: from the start of its process, compilation included,
saving and scoring left out. With `--change` the row is added to
`experiments/results/speedrun.md`; killed, the same command resumes.
"""

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from etils import epath

from eval.records import load_records
from eval.report.events import load_curves
from experiments.benchmarks.report import write_report
from experiments.config_file import parse_with_overrides
from experiments.goodput import CAUSES
from experiments.sweeps import Run, carry_out, parse_seeds
from qlae.common.command_line import Parser, run_command
from qlae.common.errors import UserError
from qlae.common.files import is_remote, to_path
from qlae.provenance import get_commit
from qlae.run_directory import get_config_id

RESULTS = Path(__file__).parent / "results"
_CONFIG = "experiments/configs/quickstart.py"
_TARGETS = (0.9, 0.95)
_NOTES = """
One row a record: seeds that reached the target on validation images, and over them mean and
standard deviation of steps and seconds; if a seed never did, its row says so and stands for no
mean over all. Seconds count from the start of a process, compilation included, saving and scoring
left out, with nothing else on the machine (the last row's machine is named below).

Measure: `python -m experiments.speedrun --root=DIR --change="what is new"`.
"""


@dataclasses.dataclass(frozen=True)
class Arrival:
    """When one seed's InfoM first reached a target."""

    step: int
    seconds: float


def main(arguments: Sequence[str]) -> None:
    """Trains, scores, and prints a row a target."""
    options, overrides = _parse(arguments)
    runs = make_runs(options, overrides)
    failed = [run for run in runs if not carry_out(run, launcher=None)]
    if failed:
        raise UserError(f"{failed[0].workdir} has failed: see above; the same command resumes")
    rows = []
    for target in options.target or _TARGETS:
        arrivals = [find_arrival(run.workdir, target) for run in runs]
        rows.append(make_row(target, arrivals))
        print(format_row(rows[-1]), flush=True)
    if options.change:
        origin = {
            "change": options.change,
            "config": get_config_id(runs[0].load_config()),
            "commit": get_commit() or "unknown",
        }
        record([origin | row for row in rows], RESULTS)


def make_runs(options: argparse.Namespace, overrides: Sequence[str]) -> list[Run]:
    """Returns a run a seed; `--every` asks for other checkpoints, all of them kept and scored."""
    looks = (
        f"checkpoint_every={options.every}",
        "checkpoints.keep_newest=0",
        "eval.splits=('validation',)",
        "eval.metrics=('infomec',)",
    )
    fixed = () if options.every is None else looks
    given = [override.removeprefix("--config.") for override in overrides]
    runs = [
        Run(
            options.config, to_path(options.root) / f"seed_{seed}", (*fixed, *given, f"seed={seed}")
        )
        for seed in options.seeds
    ]
    for run in runs:
        run.load_config()
    return runs


def find_arrival(workdir: epath.PathLike, target: float) -> Arrival | None:
    """Returns when a scored run's InfoM on validation first reached a target; None if never."""
    steps = [
        record.step
        for record in load_records(workdir)
        if record.split == "validation" and record.scores.get("infom", 0.0) >= target
    ]
    return Arrival(min(steps), find_seconds(workdir, min(steps))) if steps else None


def find_seconds(workdir: epath.PathLike, step: int) -> float:
    """Returns the seconds that a run took to a step, saving left out, from its TensorBoard log."""
    curves = load_curves(workdir)
    spent = [dict(curves.get(f"goodput/{cause}", ())) for cause in CAUSES if cause != "saving"]
    steps = sorted(set.intersection(*map(set, spent)))
    if not steps:
        raise UserError(f"{workdir} has no log of its seconds: remove it, and train it again")
    # It is written each half minute, and training is steady in between.
    return float(np.interp(step, steps, [sum(seconds[at] for seconds in spent) for at in steps]))


def make_row(target: float, arrivals: Sequence[Arrival | None]) -> dict[str, Any]:
    """Returns the row of a target: how many seeds arrived, and when."""
    there = [arrival for arrival in arrivals if arrival]
    row: dict[str, Any] = {"InfoM": target, "seeds": f"{len(there)} of {len(arrivals)}"}
    for name, values in (
        ("steps", [arrival.step for arrival in there]),
        ("seconds", [arrival.seconds for arrival in there]),
    ):
        row[name] = _format_spread(values)
    return row


def format_row(row: dict[str, Any]) -> str:
    """Returns a row as one line."""
    when = f" after {row['steps']} steps, {row['seconds']} seconds" if row["steps"] != "-" else ""
    return f"InfoM {row['InfoM']}: {row['seeds']} seeds reached it{when}"


def record(rows: list[dict[str, Any]], folder: Path) -> None:
    """Adds rows to `speedrun.json` in a folder, and writes `speedrun.md` anew."""
    path = folder / "speedrun.json"
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    write_report("speedrun", "Steps and seconds to disentangle", before + rows, _NOTES, folder)


def _format_spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    spread = f" ± {statistics.stdev(values):,.0f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):,.0f}{spread}"


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = Parser("experiments.speedrun", __doc__)
    add = parser.add_argument
    add("--root", required=True, help="a local directory for the runs")
    add("--config", default=_CONFIG, help="config file; default: %(default)s")
    add("--target", type=_score, action="append", help="of InfoM; repeatable; default: 0.9, 0.95")
    add("--seeds", type=parse_seeds, default=list(range(10)), help="such as 0-9, the default")
    add("--every", type=int, help="steps between looks; default: the config's checkpoints")
    add("--change", help="what is new: adds the row to the table of records")
    options, overrides = parse_with_overrides(parser, arguments)
    if is_remote(options.root):
        raise UserError(f"--root={options.root} is remote: seconds are taken on this machine")
    return options, overrides


def _score(text: str) -> float:
    score = float(text)
    if not 0 < score <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no InfoM: expected more than 0, at most 1")
    return score


if __name__ == "__main__":
    sys.exit(run_command(main))
