"""What every reader asks of a file: that it is the right kind, whole, and the full grid."""

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from data_pipelines.specs import SPECS, DatasetSpec
from qlae.common.errors import UserError


class ImageFile(Protocol):
    """The images of a published file, by grid position."""

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the uint8 (stop - start, H, W, C) images at grid positions start to stop."""

    def close(self) -> None:
        """Release the file."""


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


@contextlib.contextmanager
def damage_is_a_user_error(origin: str | os.PathLike) -> Iterator[None]:
    """Turn whatever a parser makes of a damaged file into one clear line."""
    try:
        yield
    except UserError:
        raise
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL, errno.EIO):
            raise
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
    """Return what kind of file this is, judged by its first bytes, never by its name."""
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
    """Return the kind of the file, which must be one of ``kinds``.

    Raises:
        UserError: it is of another kind; an HTML page gets its own advice.
    """
    found, wanted = sniff(path), " or ".join(kinds)
    if found in kinds:
        return found
    if found == "HTML page":
        raise UserError(
            f"{path} is an HTML page, not {wanted}: the link answered with a web page; download "
            "the file in a browser and name it with --source"
        )
    raise UserError(f"{path} is not {wanted} (found: {found}): expected the published file")


def check_file(path: Path, size: int | None, digest: str | None) -> None:
    """Compare a file's size and checksum ("sha256:..." or "md5:...") with the published ones.

    Raises:
        UserError: they differ.
    """
    found = path.stat().st_size
    if size is not None and found != size:
        word = "truncated" if found < size else "not the published file"
        raise UserError(f"{path} is {word}: {found} bytes, expected {size}; download it again")
    if digest is None:
        return
    algorithm, expected = digest.split(":")
    with path.open("rb") as file:
        computed = hashlib.file_digest(file, algorithm).hexdigest()
    if computed != expected:
        raise UserError(
            f"{path} has {algorithm} {computed}, expected {expected}: it is damaged or another "
            "version; download it again"
        )


def check_count(spec: DatasetSpec, found: int, origin: str) -> None:
    """Require the number of images of the full grid; name the datasets that the number fits."""
    if found == spec.num_images:
        return
    others = [s.name for s in SPECS.values() if s.num_images == found and not s.rendered]
    fits = f", the number of {' or '.join(others)}" if others else ""
    raise UserError(
        f"{origin} holds {found} images{fits}; {spec.name} has {spec.num_images}: name the file "
        "of this dataset"
    )


def check_images(spec: DatasetSpec, shape: tuple[int, ...], dtype, origin: str) -> None:
    """Require uint8 images of the spec's shape (a single channel may be left out)."""
    height, width, channels = spec.image_shape
    allowed = [(height, width, channels)] + ([(height, width)] if channels == 1 else [])
    if tuple(shape[1:]) not in allowed or np.dtype(dtype) != np.uint8:
        raise UserError(
            f"{origin} has {np.dtype(dtype)} images of shape {tuple(shape[1:])}; {spec.name} has "
            f"uint8 {allowed[0]}: name the file of this dataset"
        )
    check_count(spec, shape[0], origin)


def find_grid_order(spec: DatasetSpec, labels_NxS: np.ndarray, origin: str) -> np.ndarray:
    """Return the int64 (num_images,) place in the file of each grid position.

    Labels may be classes or real values: each column is mapped by its sorted distinct values,
    never by scaling and rounding, which would merge classes.

    Raises:
        UserError: wrong shape, wrong number of distinct values, or not each combination once.
    """
    labels = np.asarray(labels_NxS)
    if labels.ndim != 2 or labels.shape[1] != spec.num_sources:
        raise UserError(
            f"{origin} has labels of shape {labels.shape}; expected ({spec.num_images}, "
            f"{spec.num_sources}) for {spec.name}"
        )
    check_count(spec, len(labels), origin)
    if not np.isfinite(labels).all():
        raise UserError(f"{origin} has labels that are not finite numbers: the file is damaged")
    classes = np.empty(labels.shape, np.int64)
    for i, source in enumerate(spec.sources):
        values, classes[:, i] = np.unique(np.round(labels[:, i], 6), return_inverse=True)
        if len(values) != source.cardinality:
            raise UserError(
                f"{origin} has {len(values)} values of {source.name}; {spec.name} has "
                f"{source.cardinality}: it is another variant or damaged"
            )
    indices = spec.indices_of(classes)
    seen = np.bincount(indices, minlength=spec.num_images)
    if (seen != 1).any():
        raise UserError(
            f"the labels of {origin} are not the full grid: {int((seen == 0).sum())} combinations "
            f"are missing and {int((seen > 1).sum())} occur more than once"
        )
    order = np.empty(spec.num_images, np.int64)
    order[indices] = np.arange(spec.num_images)
    return order


def require_file_order(order_N: np.ndarray, origin: str) -> None:
    """Require that the file is in grid order, for formats that can only be read in sequence."""
    if not np.array_equal(order_N, np.arange(len(order_N))):
        raise UserError(
            f"{origin} holds the full grid in another order than the published file: expected the "
            "last source to vary fastest"
        )


def find_one(source: Path, names: tuple[str, ...], accept: Callable[[Path], bool]) -> Path:
    """Return the file that ``source`` names: itself, or one of ``names`` in that directory.

    Raises:
        UserError: no such path, or nothing suitable in the directory.
    """
    if source.is_file():
        return source
    if not source.is_dir():
        raise UserError(f"there is no file or directory {source}")
    for name in names:
        if (source / name).exists():
            return source / name
    suitable = sorted(path for path in source.iterdir() if path.is_file() and accept(path))
    if len(suitable) != 1:
        raise UserError(
            f"{source} holds {len(suitable)} files that could be it, expected one"
            f"{': ' if names else ''}{' or '.join(names)}; name the file with --source"
        )
    return suitable[0]


def find_archive(source: Path, label_name: str) -> Path:
    """Return the archive that ``source`` names, or ``source`` itself if it is an unpacked one."""
    if source.is_file() or any(any(source.glob(f"{depth}{label_name}")) for depth in ("", "*/")):
        return source
    suffixes = (".zip", ".tar", ".gz", ".tgz")
    return find_one(source, (), lambda path: path.suffix in suffixes)


def origin_of(path: str | os.PathLike) -> str:
    """Return how messages call a file: its name without its folders."""
    return Path(path).name
