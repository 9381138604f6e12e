"""Kills trainers for hours: rounds of 50 kills, each a run of its own that must end as it should.

python -m tests.faults.soak [--kills=1000] [--folder=build/soak]

What a round has cost is noted when it ends; started again, it goes on with the next round.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from qlae.common.command_line import Exit, Parser, run_command
from qlae.common.files import write_output, write_whole
from tests import conftest  # noqa: F401 - the environment of the processes
from tests.faults.kills import kill_again_and_again
from tests.faults.outcome import Outcome, make_table

_KILLS = 50  # a round
_TITLE = """# Kills, for hours

By `make soak`, which goes on to 1,000; the columns are those of [faults.md](faults.md). Of the
seconds, the machine's other work is a part.

"""


def main(arguments: Sequence[str]) -> Exit:
    """Kills until it is enough; returns whether nothing was wrong, missing or there twice."""
    parser = Parser("tests.faults.soak", __doc__)
    parser.add_argument("--kills", type=int, default=1000, help="in all, those noted included")
    parser.add_argument("--folder", default="build/soak", help="of the notes and the runs")
    parser.add_argument("--out", default="experiments/results/soak.md")
    options = parser.parse_args(arguments)
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    notes = folder / "rounds.json"
    rounds = [Outcome(**each) for each in json.loads(notes.read_text())] if notes.exists() else []
    while (done := sum(each.tried for each in rounds)) < options.kills:
        seed = len(rounds)
        shutil.rmtree(folder / f"killed_{seed}", ignore_errors=True)  # a round that was interrupted
        rounds.append(kill_again_and_again(folder, min(_KILLS, options.kills - done), seed))
        shutil.rmtree(folder / f"killed_{seed}")
        write_whole(notes, json.dumps([each.to_json() for each in rounds], indent=2))
        total = sum(rounds, Outcome(rounds[0].fault))
        write_output(options.out, f"{_TITLE}{make_table([total])}\n")
        print(total.to_row(), flush=True)
    return Exit.DONE if all(each.is_clean for each in rounds) else Exit.FAILED


if __name__ == "__main__":
    sys.exit(run_command(main))
