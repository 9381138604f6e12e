"""Trains a run with an evaluation worker beside it, then shows what came out: `make run`.

python -m experiments.quickstart --workdir=DIR [--config=FILE.py] [--config.KEY=VALUE ...]
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.records import Record, load_records
from experiments.config_file import parse_with_overrides
from qlae.common.command_line import Parser, run_command
from qlae.common.errors import UserError
from qlae.common.files import is_remote
from qlae.run_directory import RunDirectory

_CONFIG = "experiments/configs/quickstart.py"
# Half a batch on each of two cores is faster than one kernel after another on both.
_CORES_AS_DEVICES = {"JAX_NUM_CPU_DEVICES": "2"}
_COLUMNS = {"infom": "InfoM", "infoe": "InfoE", "infoc": "InfoC", "psnr": "PSNR/dB"}


def main(arguments: Sequence[str]) -> int:
    """Runs trainer and worker to their ends; returns the first non-zero exit code."""
    parser = Parser("experiments.quickstart", __doc__)
    parser.add_argument("--workdir", default="runs/quickstart", help="a local run directory")
    parser.add_argument("--config", default=_CONFIG, help="config file; default: %(default)s")
    options, overrides = parse_with_overrides(parser, arguments)
    if is_remote(options.workdir):
        raise UserError(f"--workdir={options.workdir} is remote: this is for a local directory")
    directory = Path(options.workdir).expanduser()
    workdir, config = f"--workdir={directory}", f"--config={options.config}"
    trainer = _start("experiments.train", config, workdir, *overrides, env=_CORES_AS_DEVICES)
    worker = None
    try:
        log = directory / "worker.log"
        if _wait_for_progress(trainer, directory):
            worker = _start("eval.worker", workdir, "--poll=1", log=log)
        code = trainer.wait()
        if code:
            return code
        if worker is None:  # complete before it began: score whatever is left
            worker = _start("eval.worker", workdir)
        print("training is done; waiting for the last scores", file=sys.stderr)
        code = worker.wait()
        if code:
            print(f"error: evaluation failed; see {log}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nstopping; the same command resumes", file=sys.stderr)
        return _wait_for_end(trainer) or 130
    finally:
        for process in (worker, trainer):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait()
    return show_results(directory) or code


def show_results(workdir: Path) -> int:
    """Prints scores by step, and where the report is; returns its exit code."""
    records = load_records(workdir)
    if not records:
        return 0
    print(format_table(records), flush=True)
    return _start("eval.report", str(workdir), f"--out={workdir / 'report'}").wait()


def format_table(records: list[Record]) -> str:
    """Returns the scores by step as plain text."""
    lines = [f"{'step':>9}  " + "  ".join(f"{label:>7}" for label in _COLUMNS.values())]
    for record in sorted(records, key=lambda record: record.step):
        cells = [f"{record.scores.get(name, float('nan')):7.3f}" for name in _COLUMNS]
        lines.append(f"{record.step:9,}  " + "  ".join(cells) + f"  {record.split}")
    return "\n".join(lines)


def _start(
    module: str, *arguments: str, log: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen:
    """Starts a command; `env` is what its environment has unless it was given."""
    command = [sys.executable, "-m", module, *arguments]
    environment = {**(env or {}), **os.environ}
    if log is None:
        return subprocess.Popen(command, env=environment)
    with log.open("a") as stream:
        # The trainer goes first: where both want the same core, and where there is an accelerator.
        return subprocess.Popen(
            command,
            stdout=stream,
            stderr=stream,
            env=environment | {"JAX_PLATFORMS": "cpu"},
            preexec_fn=lambda: os.nice(10),
        )


def _wait_for_end(trainer: subprocess.Popen) -> int:
    """Returns the trainer's exit code; further Ctrl-C reach it, too, and are its affair."""
    while True:
        try:
            return trainer.wait()
        except KeyboardInterrupt:
            continue


def _wait_for_progress(trainer: subprocess.Popen, workdir: Path) -> bool:
    """Returns True once training has begun, False if it ended before that."""
    run = RunDirectory(workdir)
    before = run.load_progress()
    while trainer.poll() is None:
        if run.load_progress() != before:
            return True
        time.sleep(0.2)
    return False


if __name__ == "__main__":
    sys.exit(run_command(main))
