"""Tables of many runs: `python -m eval.results RUN [RUN ...]`, a RUN being one or a folder of them.

Runs are averaged only with their like: each protocol, split, dialect of InfoMEC, metric version,
step and number of samples makes a table of its own, each configuration a line of its own, and the
notes below say so. Seeds that diverged are counted beside each line.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence

from etils import epath

from eval.aggregate import DEFAULT_SCORES, Failure, get_kind, make_tables, run_key
from eval.comparison import make_comparisons
from eval.output import put_out
from eval.records import Record, load_records
from eval.tables import FORMATS
from qlae.common.command_line import Parser, run_command
from qlae.common.errors import UserError
from qlae.common.files import to_path
from qlae.run_directory import RunDirectory, find_runs, get_config_id


def main(arguments: Sequence[str]) -> None:
    """Prints the tables, and notes on what is not in them."""
    options = _parse(arguments)
    records, failures, notes = collect(options.runs)
    records = choose(records, options.split, protocol=options.protocol, step=options.step)
    scores = _split(options.scores)
    made, more_notes = make_tables(records, scores, failures)
    if options.against:
        made += make_comparisons(records, options.against, scores)
    text = FORMATS[options.format](made)
    put_out(text, options.out, (*notes, *more_notes))


def collect(paths: Iterable[epath.PathLike]) -> tuple[list[Record], list[Failure], list[str]]:
    """Loads the records of all run directories at or below `paths`.

    Returns:
      Records, runs that failed, and notes on these and on runs that have no record.

    Raises:
      UserError: a path that does not exist, a record that cannot be read, no record at all.
    """
    records: list[Record] = []
    failures: list[Failure] = []
    notes: list[str] = []
    for workdir in dict.fromkeys(run for path in paths for run in _find_runs(path)):
        found = load_records(workdir)
        records += found
        if not found:
            notes.append(f"{workdir} has not been evaluated: it is in no table")
        if failure := RunDirectory(workdir).failure:
            reason = " ".join(failure.split())
            notes.append(f"{workdir} failed ({reason}): its last record is from before")
            failures += _describe_failure(workdir, found)
    if not records:
        raise UserError(
            "no evaluated run found: pass run directories (or folders of them) that hold eval/"
        )
    return records, failures, notes


def choose(
    records: list[Record],
    split: str = "test",
    *,
    protocol: str | None = None,
    step: int | None = None,
) -> list[Record]:
    """Of each run and kind of evaluation the record of `step`, or else of its last step.

    Choices are made on validation and reported on test: neither stands in for the other.

    Raises:
      UserError: nothing is left.
    """
    kept = [record for record in records if record.split == split]
    if not kept:
        there = sorted({record.split for record in records})
        raise UserError(f"no record of split {split!r}: there is {', '.join(there)}")
    records = kept
    kept = [record for record in records if protocol in (None, record.protocol)]
    if not kept:
        there = sorted({record.protocol for record in records})
        raise UserError(f"no record of protocol {protocol!r}: there is {', '.join(there)}")
    if step is not None:
        steps = sorted({record.step for record in kept})
        kept = [record for record in kept if record.step == step]
        if not kept:
            raise UserError(f"no record of step {step}: there is {', '.join(map(str, steps))}")
        return kept
    last: dict[tuple, Record] = {}
    for record in kept:
        run = (*run_key(record), *get_kind(record)._replace(step=0))
        if run not in last or last[run].step <= record.step:
            last[run] = record
    return list(last.values())


def _describe_failure(workdir: epath.Path, records: list[Record]) -> list[Failure]:
    """What a table knows a failed run as, by its records or else its config; [] if by neither."""
    if records:
        record = records[0]
        return [Failure(record.dataset, record.model, record.config_id, record.seed)]
    try:
        config = RunDirectory(workdir).load_config()
        return [Failure(config.data.name, config.arm, get_config_id(config), config.seed)]
    except (UserError, AttributeError, KeyError):
        return []


def _find_runs(path: epath.PathLike) -> list[epath.Path]:
    """The run directories at or below a directory; a UserError if it is none."""
    if not to_path(path).is_dir():
        raise UserError(f"{path} is not a directory: pass run directories or folders of them")
    return find_runs(path)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser("eval.results", __doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directory, or folder of them")
    parser.add_argument("--format", choices=FORMATS, default="terminal")
    parser.add_argument("--scores", default=",".join(DEFAULT_SCORES), help="names, or: all")
    parser.add_argument("--protocol", help="only this one, such as heldout, compositional or paper")
    parser.add_argument("--split", default="test", help="test, or validation")
    parser.add_argument("--against", metavar="ROW", help="also differences from it, seed by seed")
    parser.add_argument("--step", type=int, help="only this one; else each run's last")
    parser.add_argument("--out", help="write here instead of to standard output")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run_command(main))
