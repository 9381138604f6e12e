"""Files and directories, local or remote (`gs://`): whole or not there."""

import uuid
from typing import Any

from etils import epath

from qlae.common.errors import UserError


def is_remote(path: Any) -> bool:
    """Whether a path names an object of a store rather than a file of this machine."""
    return "://" in str(path)


def to_path(path: epath.PathLike) -> epath.Path:
    """Returns a path that is absolute, as Orbax needs it; `~` is the user's home."""
    return epath.Path(path) if is_remote(path) else epath.Path(path).expanduser().resolve()


def write_whole(path: epath.PathLike, content: str | bytes) -> None:
    """Writes a file whole or not at all; a reader never sees it unfinished under its own name."""
    path = epath.Path(path)
    content = content.encode() if isinstance(content, str) else content
    if is_remote(path):
        path.write_bytes(content)  # an object appears when it is whole
        return
    unfinished = path.parent / f".{path.name}.{uuid.uuid4().hex}.unfinished"
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def write_output(path: epath.PathLike, content: str | bytes) -> None:
    """Writes what a command was asked to write.

    Raises:
        UserError: it cannot be written there.
    """
    try:
        write_whole(path, content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
