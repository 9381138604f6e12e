"""Files and directories, local or remote (`gs://`): whole or not there."""

import contextlib
import logging
import uuid
from collections.abc import Iterator
from typing import Any

import fsspec.config
from etils import epath

from qlae.common.credentials import check_credentials
from qlae.common.errors import StorageError, UserError

# A listing that is remembered hides every checkpoint that another process finalises; and a store
# that does not answer within a minute is asked again, not waited for.
fsspec.config.conf.setdefault("gcs", {}).update(use_listings_cache=False, requests_timeout=60)
logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # what it logs it also raises
_SCHEME = "gs://"


def is_remote(path: Any) -> bool:
    """Whether a path names an object of a store rather than a file of this machine."""
    return "://" in str(path)


def to_path(path: epath.PathLike) -> epath.Path:
    """Returns a path that is absolute, as Orbax needs it; `~` is the user's home.

    Raises:
        UserError: a remote path that is not on Google Cloud Storage, or no credentials for it.
    """
    if not is_remote(path):
        return epath.Path(path).expanduser().resolve()
    if not str(path).startswith(_SCHEME):
        raise UserError(f"{path}: expected a local directory or {_SCHEME}BUCKET/PATH")
    check_credentials(path)
    return epath.Path(path)


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


@contextlib.contextmanager
def writing(path: epath.PathLike) -> Iterator[None]:
    """Says in one line that a directory cannot be written.

    Raises:
        UserError: it is a local one.
        StorageError: the store did not answer as it should.
    """
    try:
        yield
    except OSError as error:
        kind = StorageError if is_remote(path) else UserError
        raise kind(f"cannot write to {path}: {error.strerror or error}") from error
