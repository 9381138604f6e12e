"""The folder in which a preparation is put together: held by one process, kept if it stops."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_pipelines.grid import DatasetSpec
from qlae.common.errors import UserError


@contextlib.contextmanager
def staging_folder(path: Path, fingerprint: dict) -> Iterator[Path]:
    """Holds `path` for this process alone; what another source left there is cleared first.

    The folder stays only after a failure that came when shards were already written: the next
    preparation goes on from them.

    Args:
        path: the folder.
        fingerprint: identifies, in JSON, what the shards are made from.

    Raises:
        UserError: another process holds it, or it cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / "lock").open("w")
    except OSError as error:
        raise disk_error(error, path) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"another process is preparing this dataset in {path.parent}"
            ) from error
        _clear_unless_same(path, fingerprint)
        try:
            yield path
            done = True
        except BaseException:
            done = not any(path.glob("shard-*"))
            raise
        finally:
            if done:
                shutil.rmtree(path)


def _clear_unless_same(path: Path, fingerprint: dict) -> None:
    """Forgets shards that were made from another source."""
    note = path / "source.json"
    try:
        same = json.loads(note.read_text()) == json.loads(json.dumps(fingerprint))
    except (OSError, ValueError):
        same = False
    if not same:
        for old in path.iterdir():
            if old.name != "lock":
                old.unlink()
        note.write_text(json.dumps(fingerprint))


def require_space(folder: Path, spec: DatasetSpec, have: int) -> None:
    """Requires room on the disk for the images of `spec`, less the `have` bytes that are there.

    Raises:
        UserError: there is less room.
    """
    per_image = int(np.prod(spec.image_shape)) + 1024
    needed = max(0, spec.num_images * per_image - have)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder} has {free / 1e9:.1f} GB free; {spec.name} needs {needed / 1e9:.1f} GB"
        )


def disk_error(error: OSError, folder: Path) -> UserError:
    """Returns the one line for a directory that cannot be written."""
    if error.errno == errno.ENOSPC:
        return UserError(f"the disk of {folder} is full: make room and run again to go on")
    return UserError(f"cannot write in {folder}: {error.strerror or error}")
