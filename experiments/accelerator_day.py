"""What an accelerator is for, in calls that resume each other.

    until python -m experiments.accelerator_day --root=runs/day --out=DIR; [ $? != 75 ]; do :; done

In this order: the benchmark of train steps; QLAE, the plain autoencoder and beta-VAE at paper scale
on the held-out grid of rendered Shapes3D, then the same with more seeds; QLInfoWGAN-GP. Each run is
trained and scored, and skipped once that is done. A call stops by itself when its `--minutes` are
nearly over, and leaves what there is so far in `--out`, a folder to commit: configs, records,
pictures, tables. It exits with 0 when nothing is left, with 75 when the same command goes on.
"""

import argparse
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from eval import figures, publish, results
from eval.records import load_records
from experiments.sweeps import Run, parse_seeds
from qlae.common.command_line import Exit, Parser, run_command
from qlae.common.errors import UserError
from qlae.common.files import is_remote, to_path

_CONFIG = "experiments/configs/{arm}.py:shapes3d_rendered"
_BENCH = "python -m experiments.benchmarks.steps"
_AUTOENCODERS, _GAN = ("qlae", "ae", "beta_vae"), "qlinfo_wgan_gp"
# Of a call: to stop a trainer in order, and to write tables and figures.
_CLOSING_SECONDS = 75.0


class OutOfTime(Exception):
    """A command was stopped at the deadline; it resumes."""


class Call:
    """The time that one call has.

    Args:
        minutes: of it all, the writing of tables included.
    """

    def __init__(self, minutes: float):
        self._deadline = time.monotonic() + max(60 * minutes - _CLOSING_SECONDS, 0)

    def run(self, command: Sequence[str]) -> bool:
        """Runs a command to its end; returns whether it succeeded.

        Raises:
            OutOfTime: it was asked to stop at the deadline, and has.
        """
        if time.monotonic() >= self._deadline:
            raise OutOfTime
        print("+", shlex.join(command), flush=True)
        process = subprocess.Popen(command)
        try:
            return not process.wait(self._deadline - time.monotonic())
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise OutOfTime from None
        except KeyboardInterrupt:
            process.wait()  # it was asked, too
            raise


def main(arguments: Sequence[str]) -> Exit:
    """Does what is left, as far as the time goes; returns the exit code."""
    options = _parse(arguments)
    call, runs = Call(options.minutes), make_runs(options)
    failed = []
    try:
        if options.bench:
            benchmark(call, options)
        failed = [run for run in runs if not carry_out(run, call)]
        left = False
    except OutOfTime:
        left = True
    leave(options, runs)
    for run in failed:
        print(f"failed: {run.workdir}", file=sys.stderr)
    if left:
        done = sum(run.state == "complete" for run in runs)
        print(f"{done} of {len(runs)} runs are trained: the same command goes on", file=sys.stderr)
        return Exit.TRY_AGAIN
    return Exit.FAILED if failed else Exit.DONE


def make_runs(options: argparse.Namespace) -> list[Run]:
    """Returns the runs in their order, after a look at all their configs."""
    cells = [(arm, seed) for seed in options.seeds for arm in _AUTOENCODERS]
    cells.append((_GAN, options.seeds[0]))
    runs = [
        Run(
            options.config.format(arm=arm),
            to_path(options.root) / arm / f"seed_{seed}",
            (*options.overrides, f"seed={seed}"),
        )
        for arm, seed in cells
    ]
    for run in runs:
        run.load_config()
    return runs


def benchmark(call: Call, options: argparse.Namespace) -> None:
    """Measures steps, once."""
    measured = to_path(options.root) / "bench.done"
    if measured.exists():
        return
    words = shlex.split(options.bench)
    if not call.run([sys.executable if word == "python" else word for word in words]):
        raise UserError(f"{options.bench} has failed: see above; --bench= leaves it out")
    measured.parent.mkdir(parents=True, exist_ok=True)
    measured.touch()


def carry_out(run: Run, call: Call) -> bool:
    """Trains and scores what is left of a run; returns whether that succeeded."""
    if run.state != "complete" and not call.run(run.train_command):
        return False
    return is_scored(run) or call.run(run.score_command)


def is_scored(run: Run) -> bool:
    """Whether the last step's scores are there: a look that starts no process."""
    config = run.load_config()
    last = {record.split for record in load_records(run.workdir) if record.step == config.num_steps}
    return last >= set(config.eval.splits)


def leave(options: argparse.Namespace, runs: Sequence[Run]) -> None:
    """Leaves what has been found so far in the folder to commit."""
    scored = {run.workdir.parent.name for run in runs if load_records(run.workdir)}
    if not scored:
        return
    out = to_path(options.out)
    against = ["--against=ae"] if "ae" in scored else []
    table = [str(out), *against, "--format=markdown", f"--out={out}/table.md"]
    run_command(publish.main, [options.root, f"--out={out}"])
    run_command(results.main, table)
    run_command(figures.main, [str(out), f"--out={out}/figures"])


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser("experiments.accelerator_day", __doc__)
    add = parser.add_argument
    add("--root", required=True, help="a local directory for the runs")
    add("--out", required=True, help="the folder to commit")
    add("--minutes", type=float, default=10.0, help="of this call; default: %(default)g")
    add("--seeds", type=parse_seeds, default=[0, 1, 2], help="such as 0-2, the default")
    add("--config", default=_CONFIG, help="with {arm}; default: %(default)s")
    add("--bench", default=_BENCH, help="what measures steps; empty for nothing")
    add("--overrides", nargs="*", default=[], metavar="KEY=VALUE", help="of every config")
    options = parser.parse_args(arguments)
    if is_remote(options.root) or is_remote(options.out):
        raise UserError("--root and --out are directories of this machine: it may be lost")
    if "{arm}" not in options.config:
        raise UserError(f"--config={options.config} has no {{arm}}, but there are several arms")
    return options


if __name__ == "__main__":
    sys.exit(run_command(main))
