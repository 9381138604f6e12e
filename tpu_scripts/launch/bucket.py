"""Tries a run's bucket as whoever runs this: on worker 0, the machine's service account.

  python -m tpu_scripts.launch.bucket --workdir=gs://BUCKET/runs/NAME [--newest]

Writes, reads and deletes an object beside the run, and prints the step of the newest checkpoint of
it or of its members; --newest does only the latter.
"""

import sys
import uuid
from collections.abc import Iterator, Sequence

from etils import epath

from qlae.common.command_line import Parser, run_command
from qlae.common.errors import StorageError, UserError
from qlae.common.files import to_path
from tpu_scripts.launch.job import MARK

_REFUSED = (401, 403, 404)


def try_writing(workdir: str) -> None:
    """Writes, reads and deletes an object beside a run directory.

    Raises:
        UserError: the bucket does not exist, or refuses.
        StorageError: it did not answer as it should.
    """
    try:
        path = to_path(workdir) / f".launch-{uuid.uuid4().hex}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
        content = path.read_text()
        path.unlink()
    except Exception as error:  # Each store has errors of its own.
        raise _explain(workdir, error) from error
    if content != path.name:
        raise StorageError(f"{workdir} does not give back what was written there")


def find_newest_step(workdir: str) -> int:
    """Returns the newest step of which a run, or a member of it, has a checkpoint; -1 for none."""
    try:
        return max(_list_steps(to_path(workdir)), default=-1)
    except Exception as error:
        raise _explain(workdir, error) from error


def _list_steps(run: epath.Path) -> Iterator[int]:
    for folder in (run, *(run.iterdir() if run.exists() else ())):
        checkpoints = folder / "checkpoints"
        if checkpoints.exists():
            yield from (int(path.name) for path in checkpoints.iterdir() if path.name.isdigit())


def _explain(workdir: str, error: Exception) -> Exception:
    if isinstance(error, UserError):
        return error
    line = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    code = getattr(error, "code", None)
    if isinstance(error, PermissionError | FileNotFoundError) or code in _REFUSED:
        return UserError(
            f"{workdir} refuses this machine's service account ({line}): give it the role Storage "
            "Object Admin on the bucket, or pass --service_account"
        )
    return StorageError(f"{workdir} does not answer ({line})")


def main(arguments: Sequence[str]) -> None:
    """Entry point."""
    parser = Parser("tpu_scripts.launch.bucket", __doc__)
    parser.add_argument("--workdir", required=True, action="append", help="repeat for more runs")
    parser.add_argument("--newest", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    if not options.newest:
        for workdir in options.workdir:
            try_writing(workdir)
        print(f"{MARK} bucket written, read and deleted")
    print(f"{MARK} newest {max(map(find_newest_step, options.workdir))}")


if __name__ == "__main__":
    sys.exit(run_command(main))
