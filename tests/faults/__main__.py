"""Does every fault so many times, and writes what they cost.

python -m tests.faults [--quick] [--only=WORD] [--out=experiments/results/faults.md]
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from qlae.common.command_line import Exit, Parser, run_command
from qlae.common.files import write_output
from tests import conftest  # noqa: F401 - the environment of the processes
from tests.faults import disks, kills, stores, workers
from tests.faults.outcome import Outcome, make_table

_TITLE = """# What faults cost

`make faults` writes this table: each fault is done to small runs on CPU, which are then compared,
bit for bit, with undisturbed ones. Lost steps and, of the seconds, the second number are the most
that one fault cost; seconds count from the start of a process, its imports included. `make soak`
goes on killing.

"""


def main(arguments: Sequence[str]) -> Exit:
    """Prints the table, and writes it; fails if anything was wrong, missing or there twice."""
    parser = Parser("tests.faults", __doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth as often")
    parser.add_argument("--only", default="", help="faults in whose name this word stands")
    parser.add_argument("--out", default="experiments/results/faults.md")
    options = parser.parse_args(arguments)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="qlae-faults-") as folder:
        for name, do in list_faults(5 if options.quick else 1).items():
            if options.only in name:
                began = time.monotonic()
                outcomes.append(do(make_folder(folder, name)))
                minutes = (time.monotonic() - began) / 60
                print(f"{outcomes[-1].to_row()} in {minutes:.1f} minutes", flush=True)
    table = make_table(outcomes)
    if not options.only:
        write_output(options.out, f"{_TITLE}{table}\n")
    return Exit.DONE if all(outcome.is_clean for outcome in outcomes) else Exit.FAILED


def list_faults(share: int) -> dict[str, Callable[[Path], Outcome]]:
    """Returns what does each fault, in a folder of its own, one in so many times."""
    few = 5 // share
    return {
        "trainer": lambda folder: kills.kill_again_and_again(folder, 50 // share, seed=0),
        "worker": lambda folder: workers.kill_between_phases(folder, 30 // share),
        "save": lambda folder: disks.fail_single_saves(folder, few),
        "saves": lambda folder: disks.fail_three_saves(folder, few),
        "truncated": lambda folder: disks.damage_checkpoints(folder, few, "truncated"),
        "flipped": lambda folder: disks.damage_checkpoints(folder, few, "one bit flipped"),
        "two": lambda folder: disks.start_two_at_once(folder, few),
        "store": stores.train_on_a_bad_store,
    }


def make_folder(parent: str, name: str) -> Path:
    """Returns a new folder."""
    folder = Path(parent) / name
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(run_command(main))
