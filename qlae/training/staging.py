"""Checkpoints on their way to a store: made on this machine's disk, then copied, the marker last.

Made in the store itself, a checkpoint takes some sixty operations one after another; where they
answer slowly, the next save would be due, and would wait, before they are done.
"""

import shutil
import tempfile
from pathlib import Path

import fsspec
from etils import epath

from qlae.run_directory import COMMITTED, get_checkpoint_path, list_steps


class Staging:
    """Where the checkpoints of one run are made. A killed save leaves no more than it had copied.

    Args:
        workdir: run directory, in a store.

    Attributes:
        path: of the folder that Orbax takes for the run's checkpoints.
    """

    def __init__(self, workdir: epath.Path):
        self._workdir = workdir
        self._folder = tempfile.TemporaryDirectory(prefix="qlae-checkpoints-")
        self.path = epath.Path(self._folder.name)
        self._delete_unfinished()

    def copy(self, step: int) -> None:
        """Copies a checkpoint that is whole here, and forgets it here."""
        made, target = Path(self.path) / str(step), get_checkpoint_path(self._workdir, step)
        files = [path for path in made.rglob("*") if path.is_file()]
        names = [str(path.relative_to(made)) for path in files if path != made / COMMITTED]
        store = fsspec.filesystem("gcs")  # the one that etils' paths are of
        for batch in (names, [COMMITTED]):
            store.put([f"{made}/{name}" for name in batch], [f"{target}/{name}" for name in batch])
        shutil.rmtree(made)

    def close(self) -> None:
        """Deletes what is here."""
        self._folder.cleanup()

    def _delete_unfinished(self) -> None:
        """Deletes what saves that were killed had copied."""
        checkpoints, whole = get_checkpoint_path(self._workdir), list_steps(self._workdir)
        for path in checkpoints.iterdir() if checkpoints.exists() else ():
            if path.name.isdecimal() and int(path.name) not in whole:
                path.rmtree()
