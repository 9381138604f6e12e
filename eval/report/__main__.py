"""One HTML page on runs, with everything in it.

    python -m eval.report RUN [RUN ...] --out report/

RUN is a run or a folder of runs. The page needs no network: it can be mailed, or published as it
is. Pictures need the dataset; where it is not here, the page says so and shows the rest.
"""

import sys
from collections.abc import Sequence

from absl import logging
from etils import epath

from eval.report.page import make_page
from eval.report.summary import Summary, summarise
from qlae.common.command_line import Parser, run_command
from qlae.common.errors import UserError
from qlae.common.files import to_path, write_output
from qlae.run_directory import find_runs

_MOST_BYTES = 5_000_000


def main(arguments: Sequence[str]) -> None:
    """Writes the page, and prints where it is."""
    logging.set_verbosity(logging.FATAL)  # Orbax logs, with a traceback, what it also raises
    parser = Parser("eval.report", __doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directory, or folder of them")
    parser.add_argument("--out", default="report", help="directory; default: %(default)s")
    parser.add_argument("--data_dir", help="where this machine keeps its datasets")
    options = parser.parse_args(arguments)
    summaries = collect(options.runs, options.data_dir)
    page = make_page(summaries).encode()
    if len(page) > _MOST_BYTES:
        raise UserError(f"the page would have {len(page):,} bytes: report on fewer runs at once")
    path = to_path(options.out) / "index.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path.parent}: {error.strerror or error}") from error
    write_output(path, page)
    for summary in summaries:
        if summary.missing:
            print(f"note: {summary.label}: no pictures: {summary.missing}", file=sys.stderr)
    print(epath.Path(options.out) / "index.html")


def collect(paths: Sequence[str], data_dir: str | None = None) -> list[Summary]:
    """Summarises the runs at or below `paths`.

    Raises:
        UserError: no run, or none of them has been evaluated.
    """
    workdirs = list(dict.fromkeys(run for path in paths for run in find_runs(path)))
    if not workdirs:
        raise UserError(f"no run at {', '.join(paths)} or below")
    made = [summary for path in workdirs if (summary := summarise(path, data_dir)) is not None]
    if not made:
        raise UserError(
            f"{workdirs[0]} has not been evaluated: "
            f"python -m eval.worker --workdir={workdirs[0]} --once"
        )
    return made


if __name__ == "__main__":
    sys.exit(run_command(main))
