"""Many runs from one table: arms x datasets x seeds x overrides, each in a directory of its own.

    python -m experiments.sweeps --root=runs/paper --arms=qlae,ae --datasets=shapes3d
    python -m experiments.sweeps --root=runs/paper --table=experiments/configs/paper_table.py
    python -m experiments.sweeps --root=runs/quick \\
        --config=experiments/configs/quickstart.py:{arm} --seeds=0-2

A finished run is skipped, an interrupted one resumed; `--dry_run` lists the runs. By default each
is trained and scored here, one after the other; `--launcher` hands it to another command instead,
such as `python -m tpu_scripts.launch --topology=v5e:4x4 ...`.
"""

import argparse
import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from etils import epath
from ml_collections import ConfigDict

from experiments.config_check import check_config
from experiments.config_file import load_config
from experiments.configs.arms import ARMS
from experiments.members import make_members
from qlae.common.command_line import Exit, Parser, run_command
from qlae.common.errors import UserError, make_unknown_name_error
from qlae.run_directory import RunDirectory

_PAPER = "experiments/configs/paper_table.py"
_MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Run:
    """One cell of the table."""

    config: str
    workdir: epath.Path
    overrides: tuple[str, ...]

    @property
    def arguments(self) -> list[str]:
        """What `experiments.train` is given."""
        overrides = [f"--config.{override}" for override in self.overrides]
        return [f"--config={self.config}", f"--workdir={self.workdir}", *overrides]

    @property
    def train_command(self) -> list[str]:
        """Trains the run, or what is left of it."""
        return [sys.executable, "-m", "experiments.train", *self.arguments]

    @property
    def score_command(self) -> list[str]:
        """Scores the checkpoints that it has."""
        return [sys.executable, "-m", "eval.worker", f"--workdir={self.workdir}", "--once"]

    def load_config(self) -> ConfigDict:
        """Returns the run's config; raises `UserError` for one that cannot be."""
        config = load_config(self.config, [f"--config.{override}" for override in self.overrides])
        check_config(config)
        return config

    @property
    def state(self) -> str:
        """ "complete", "failed", "interrupted" or "new": of a population the least of its members.

        One that lacks a member's directory is interrupted.
        """
        directory = RunDirectory(self.workdir)
        members = make_members(self.load_config(), directory)
        states = {member.directory.state for member in members}
        if len(states) == 1:
            return states.pop()
        return "failed" if states == {"complete", "failed"} else "interrupted"


def load_table(path: str) -> ConfigDict:
    """Returns a table of runs, such as `experiments/configs/paper_table.py`.

    Raises:
        UserError: no such file, or it is a config of another kind.
    """
    table = load_config(path)
    for key in ("config", "arms", "datasets", "seeds"):
        if key not in table:
            raise UserError(f"{path} is no table of runs: it lacks {key!r}; see paper_table.py")
    return table


def main(arguments: Sequence[str]) -> Exit:
    """Runs what is left of a sweep; returns the exit code."""
    options = parse_arguments(arguments)
    for name, value in load_table(options.table).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    sweep = list(make_runs(options))
    for run in sweep:
        make_members(run.load_config(), RunDirectory(run.workdir))
    if options.dry_run:
        for run in sweep:
            print(f"{run.state:12} {shlex.join(run.arguments)}")
        return Exit.DONE
    failed = [run for run in sweep if not carry_out(run, options.launcher)]
    for run in failed:
        print(f"failed: {run.workdir}", file=sys.stderr)
    return Exit.FAILED if failed else Exit.DONE


def make_runs(arguments: argparse.Namespace) -> Iterator[Run]:
    """Yields the table row by row, all cells of a seed before the next seed.

    Raises:
        UserError: an unknown arm, or a list that cannot be read.
    """
    for arm in arguments.arms:
        if arm not in ARMS:
            raise make_unknown_name_error("arm", arm, ARMS)
    for flag, values in (("arms", arguments.arms), ("seeds", arguments.seeds)):
        if not values or len(set(values)) < len(values):
            raise UserError(f"--{flag} must list at least one, and none twice")
    _fill(arguments.config, "arm", "dataset")  # What else stands in braces is said first.
    if len(arguments.arms) > 1 and "{arm}" not in arguments.config:
        raise UserError(f"--config={arguments.config} has no {{arm}}, but there are several arms")
    datasets = arguments.datasets if "{dataset}" in arguments.config else [None]
    if not datasets:
        raise UserError("--datasets must list at least one")
    variants = arguments.overrides or [""]
    if taken := [variant for variant in variants if re.search(r"(^|;)seed=", variant)]:
        raise UserError(f"--overrides {taken[0]}: seeds are given by --seeds")
    for seed, dataset, arm, variant in itertools.product(
        arguments.seeds, datasets, arguments.arms, variants
    ):
        names = [name for name in (dataset, arm, to_file_name(variant), f"seed_{seed}") if name]
        yield Run(
            config=_fill(arguments.config, arm, dataset),
            workdir=epath.Path(arguments.root).joinpath(*names),
            overrides=(*filter(None, variant.split(";")), f"seed={seed}"),
        )


def carry_out(run: Run, launcher: str | None) -> bool:
    """Trains and scores one run, or hands it to the launcher; returns whether that succeeded."""
    if launcher:
        if run.state == "complete":
            return True
        name = re.sub(r"[^a-z0-9]+", "-", str(run.workdir).lower()).strip("-")
        return not subprocess.call([*shlex.split(launcher), f"--name={name}", *run.arguments])
    print(f"{run.workdir}: {run.state}", flush=True)
    if run.state != "complete" and subprocess.call(run.train_command):
        return False
    return not subprocess.call(run.score_command)


def to_file_name(text: str) -> str:
    """Returns a stable name for a directory: all but letters, digits and `.+-` becomes `_`."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", text).strip("_")


def _fill(config: str, arm: str, dataset: str | None) -> str:
    try:
        return config.format(arm=arm, dataset=dataset)
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(
            f"--config={config}: in braces stand only {{arm}} and {{dataset}}"
        ) from error


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Returns the sweep's arguments."""
    parser = Parser("experiments.sweeps", __doc__)
    add = parser.add_argument
    add("--root", required=True, help="directory of all runs; local or gs://")
    add("--table", default=_PAPER, help="file that says what is not given here (%(default)s)")
    add("--config", help="config, with {arm} and {dataset}")
    add("--arms", type=_words, help="rows, by comma")
    add("--datasets", type=_words, help="columns, by comma")
    add("--seeds", type=parse_seeds, help="such as 0,1,2 or 0-6")
    add("--overrides", nargs="*", help="variants, each KEY=VALUE[;KEY=VALUE]")
    add("--launcher", help="a command that is given --name, --config and --workdir")
    add("--dry_run", action="store_true", help="list the runs and what became of them")
    return parser.parse_args(arguments)


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def parse_seeds(text: str) -> list[int]:
    """Returns the seeds that a flag lists: "0,1,2" or "0-6"."""
    if match := re.fullmatch(r"(\d+)-(\d+)", text):
        first, last = int(match[1]), int(match[2])
        if not first <= last < first + _MOST_SEEDS:
            raise argparse.ArgumentTypeError(f"{text!r}: from a first seed to at most 9,999 later")
        return list(range(first, last + 1))
    try:
        return [int(word) for word in _words(text)]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list such as 0,1,2 or 0-6") from None


if __name__ == "__main__":
    sys.exit(run_command(main))
