"""Local copies of remote data and of what is slow to find out, on this host's disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qlae.common.errors import UserError


def default_cache_dir() -> Path:
    """Returns the user's cache folder of this package."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "data_pipelines"


def copy_to_cache(folder, cache_dir: str | os.PathLike | None = None) -> Path:
    """Copies the files of a prepared dataset to this host's disk, once; returns the copy.

    Interrupted copies go on where they stopped, file by file. A copy is taken as it is when each
    file has the length of the original.

    Args:
        folder: local or remote: what `etils.epath` or `pathlib` makes of a path.
        cache_dir: where copies are kept; by default the user's cache.

    Raises:
        UserError: a file cannot be copied, or came over incomplete.
    """
    key = hashlib.sha256(os.fspath(folder).encode()).hexdigest()[:16]
    target = Path(cache_dir or default_cache_dir()) / f"{folder.name}-{key}"
    target.mkdir(parents=True, exist_ok=True)
    for source in sorted(folder.iterdir(), key=lambda path: path.name):
        length = _length(source)
        copy = target / source.name
        if copy.exists() and copy.stat().st_size == length:
            continue
        part = target / f".{source.name}.{os.getpid()}.part"
        try:
            with source.open("rb") as reader, part.open("wb") as writer:
                shutil.copyfileobj(reader, writer, 1 << 22)
            if part.stat().st_size != length:
                raise UserError(f"{source} came over incomplete: run again")
            part.rename(copy)
        except OSError as error:
            raise UserError(f"cannot copy {source} to {target}: {error}") from error
        finally:
            part.unlink(missing_ok=True)
    return target


def cached_array(
    name: str, key: str, make: Callable[[], np.ndarray], cache_dir: str | os.PathLike | None = None
) -> np.ndarray:
    """Returns `make()`, kept on disk under `name` for the next process with the same `key`.

    A cache that cannot be written is done without.
    """
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    path = Path(cache_dir or default_cache_dir()) / f"{name}-{digest}.npy"
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        pass
    array = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npy", delete=False) as file:
            np.save(file, array)
        os.replace(file.name, path)
    except OSError:
        pass
    return array


def _length(path) -> int:
    stat = path.stat()
    return int(getattr(stat, "st_size", None) or getattr(stat, "length", 0) or 0)
