"""Does every fault so many times, and writes what they cost.

python -m tests.faults [--quick] [--only=WORD] [--out=experiments/results/faults.md]
"""

import functools
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from qlae.common.command_line import Exit, Parser, run_command
from qlae.common.files import write_output
from tests import conftest  # noqa: F401 - the environment of the processes
from tests.faults import disks, fuzz, kills, members, memory, pairs, readers, stops, stores, workers
from tests.faults.outcome import Outcome, make_table, merge_rows

_IDLE = {"store"}
_PAIRS = (
    (signal.SIGTERM, 1),
    (signal.SIGKILL, 0),
    (signal.SIGKILL, 1),
    (signal.SIGSTOP, 0),
    (signal.SIGSTOP, 1),
)
_TITLE = """# What faults cost

`make faults` writes this table: each fault is done to small runs on CPU, which are then compared,
bit for bit, with undisturbed ones. Lost steps and, of the seconds, the second number are the most
that one fault cost; seconds count from the start of a process, its imports included, or to its end
where the row says so. Runs here save every 10 to 50 steps, while the save before is still under
way: a kill loses that one, too, so that up to two intervals are taken again; where an interval is
longer than a save, it is one interval and what was trained during the save. When the first of two
processes is killed, JAX aborts the other at once, at some length, with code 134; what else ends
one ends the other with a line and code 75. Of the store, a try is an operation that it failed; of a
fuzz, an input, of which a traceback, a hang or a changed file is wrong. `make soak` goes on
killing: [soak.md](soak.md).

"""


def main(arguments: Sequence[str]) -> Exit:
    """Prints the table, and writes it; fails if anything was wrong, missing or there twice."""
    parser = Parser("tests.faults", __doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth as often")
    parser.add_argument(
        "--only",
        default="",
        help="faults in whose name this word stands: their rows alone are written anew",
    )
    parser.add_argument("--out", default="experiments/results/faults.md")
    options = parser.parse_args(arguments)
    faults = {name: do for name, do in list_faults(options.quick).items() if options.only in name}
    with (
        tempfile.TemporaryDirectory(prefix="qlae-faults-") as folder,
        ThreadPoolExecutor(1) as beside,
    ):
        # A slow store leaves the processor to the others.
        waiting = {
            name: beside.submit(_do, name, faults[name], folder) for name in {*faults} & _IDLE
        }
        outcomes = [
            waiting[name].result() if name in waiting else _do(name, do, folder)
            for name, do in faults.items()
        ]
    table = make_table(outcomes)
    if options.only:
        table = merge_rows(Path(options.out).read_text(), table)
    write_output(options.out, f"{_TITLE}{table}\n")
    return Exit.DONE if all(outcome.is_clean for outcome in outcomes) else Exit.FAILED


def _do(name: str, do: Callable[[Path], Outcome], parent: str) -> Outcome:
    """Does one fault; prints its row."""
    began = time.monotonic()
    outcome = do(Path(parent))
    print(f"{name}, {time.monotonic() - began:.0f} s: {outcome.to_row()}", flush=True)
    return outcome


def list_faults(quick: bool) -> dict[str, Callable[[Path], Outcome]]:
    """Returns by name what does each fault in a folder."""
    kill_times, few = (10, 1) if quick else (50, 5)
    return {
        "trainer": lambda folder: kills.kill_again_and_again(folder, kill_times, seed=0),
        "worker": lambda folder: workers.kill_between_phases(folder, 6 if quick else 30),
        "save": lambda folder: disks.fail_single_saves(folder, few),
        "three saves": lambda folder: disks.fail_three_saves(folder, few),
        "truncated": lambda folder: disks.damage_checkpoints(folder, few, "truncated"),
        "flipped": lambda folder: disks.damage_checkpoints(folder, few, "one bit flipped"),
        **{
            f"stop {moment}": functools.partial(
                stops.stop_at, tries=1 if quick else 2, moment=moment
            )
            for moment in stops.MOMENTS
        },
        **{
            f"pair {kind.name} {index}": functools.partial(pairs.signal_one, kind=kind, index=index)
            for kind, index in _PAIRS
        },
        "pair save": pairs.fail_save_of_one,
        "population": lambda folder: members.kill_population(folder, few),
        "overrides": lambda folder: fuzz.fuzz_overrides(folder, 40 * few),
        "records": lambda folder: fuzz.fuzz_records(folder, 40 * few),
        "directories": lambda folder: fuzz.fuzz_directories(
            folder, disks.train_undisturbed(folder), 8 * few
        ),
        "arrays": lambda folder: fuzz.fuzz_arrays(folder, 100 * few),
        "readers": lambda folder: readers.fuzz_readers(folder, 3 * few),
        "two": lambda folder: disks.start_two_at_once(folder, few),
        "memory": memory.measure_slopes,
        "store": stores.train_on_a_bad_store,
    }


if __name__ == "__main__":
    sys.exit(run_command(main))
