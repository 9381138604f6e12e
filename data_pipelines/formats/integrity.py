"""Is a file of the right kind, and whole?"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from qlae.common.errors import UserError

# What parsers raise on bytes that are not what they should be.
_DAMAGE = (
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tarfile.TarError,
    tokenize.TokenError,  # of a damaged npy header, since CPython 3.12
    zipfile.BadZipFile,
    zlib.error,
)


_MOST_LISTED = 20
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def damage_is_a_user_error(origin: str | os.PathLike) -> Iterator[None]:
    """Turns whatever reading a damaged file, or one that may not be read, raises into one line.

    A disk that is full is not the file's fault: that error passes.

    Raises:
        UserError: `origin` cannot be read, or is damaged.
    """
    try:
        yield
    except UserError:
        raise
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL, errno.EIO):
            raise UserError(f"cannot read {origin}: {error.strerror}") from error
        reason = (str(error) or type(error).__name__).splitlines()[0].strip(" '\"")
        raise UserError(
            f"{origin} is truncated or damaged ({reason}): download it again"
        ) from error


_MAGIC = (
    (0, b"\x89HDF\r\n\x1a\n", "HDF5"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\x93NUMPY", "npy"),
    (0, b"MATLAB 5.0", "mat"),
    (0, b"\x89PNG", "PNG"),
    (257, b"ustar", "tar"),
)


def sniff(path: Path) -> str:
    """Returns what kind of file this is, judged by its first bytes, never by its name."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if not head:
        return "empty file"
    for offset, magic, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return kind
    if head.lstrip()[:1] == b"<" and b"html" in head.lower():
        return "HTML page"
    return "unknown"


def require_kind(path: Path, *kinds: str) -> str:
    """Returns the kind of the file, which must be one of `kinds`.

    Raises:
        UserError: it is of another kind; an HTML page gets its own advice.
    """
    found, wanted = sniff(path), " or ".join(kinds)
    if found in kinds:
        return found
    refuse_web_page(path, wanted)
    raise UserError(f"{path} is not {wanted} (found: {found}): expected the published file")


def refuse_web_page(path: Path, wanted: str) -> None:
    """Refuses what a link gave in place of the file that was `wanted`.

    Raises:
        UserError: it is an HTML page.
    """
    if sniff(path) == "HTML page":
        raise UserError(
            f"{path} is an HTML page, not {wanted}: the link answered with a web page; download "
            "the file in a browser and name it with --source"
        )


def check_bytes(path: Path, size: int | None, checksum: str | None) -> None:
    """Compares a file's size and checksum ("sha256:..." or "md5:...") with the published ones.

    None stands for what is not known.

    Raises:
        UserError: they differ.
    """
    found = path.stat().st_size
    if size is not None and found != size:
        word = "truncated" if found < size else "not the published file"
        raise UserError(f"{path} is {word}: {found} bytes, expected {size}; download it again")
    if checksum is None:
        return
    algorithm, expected = checksum.split(":")
    with path.open("rb") as file:
        computed = hashlib.file_digest(file, algorithm).hexdigest()
    if computed != expected:
        raise UserError(
            f"{path} has {algorithm} {computed}, expected {expected}: it is damaged or another "
            "version; download it again, or take it as it is with --no_checksum"
        )


def list_names(names: Iterable[str]) -> str:
    """Returns what a file holds, as a message lists it: the first names, or "nothing"."""
    names = sorted(names)
    shown = ", ".join(names[:_MOST_LISTED])
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return f"{shown}{more}" or "nothing"


def origin_of(path: str | os.PathLike) -> str:
    """Returns how messages call a file: its name without its folders."""
    return Path(path).name
