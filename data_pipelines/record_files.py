"""Random access to the records of a prepared dataset's files: array_record or tfrecord."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from array_record.python import array_record_module

from qlae.common.errors import UserError

# Read-ahead serves sequential reading only, and costs memory in each shard; threads of its own
# cost more than they bring when a batch needs a few records of each shard.
_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"


class Records(Protocol):
    """Serialized examples by position, over all shards in order."""

    def __len__(self) -> int: ...

    def read(self, positions_N: np.ndarray) -> list[bytes]:
        """Returns the records at `positions_N`, in that order."""


def open_records(paths: Sequence[Path], file_format: str, lengths: Sequence[int]) -> Records:
    """Opens the shards at `paths`, which must hold `lengths` records.

    Raises:
        UserError: a format that cannot be read here, or a shard that is damaged.
    """
    if file_format == "array_record":
        return ArrayRecords(paths, lengths)
    if file_format == "tfrecord":
        return TfRecords(paths, lengths)
    raise UserError(
        f"{paths[0].parent} is stored as {file_format}, which cannot be read here: prepare it "
        "again with file_format='array_record' (or tfrecord)"
    )


class ArrayRecords:
    """Shards in array_record format; safe to share between threads."""

    def __init__(self, paths: Sequence[Path], lengths: Sequence[int]):
        self._paths, self._readers = list(paths), []
        for path, length in zip(paths, lengths, strict=True):
            try:
                reader = array_record_module.ArrayRecordReader(os.fspath(path), options=_OPTIONS)
                found = reader.num_records()
            except (RuntimeError, ValueError, OSError) as error:
                raise _damaged(path, str(error).splitlines()[0]) from error
            if found != length:
                raise _damaged(path, f"it holds {found} records where {length} were written")
            self._readers.append(reader)
        self._starts = np.concatenate([[0], np.cumsum(lengths)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, positions_N: np.ndarray) -> list[bytes]:
        """Returns the records at `positions_N`, in that order; one call per shard touched."""
        positions = np.asarray(positions_N)
        shards = np.searchsorted(self._starts, positions, side="right") - 1
        records: list[bytes] = [b""] * len(positions)
        for shard in np.unique(shards):
            places = np.flatnonzero(shards == shard)
            wanted = (positions[places] - self._starts[shard]).tolist()
            try:
                found = self._readers[shard].read(wanted)
            except (RuntimeError, ValueError, OSError) as error:
                raise _damaged(self._paths[shard], str(error).splitlines()[0]) from error
            for place, record in zip(places, found, strict=True):
                records[place] = record
        return records


class TfRecords:
    """Shards in tfrecord format, located by one pass over their headers.

    A record is its length (8 bytes), a checksum (4), the bytes, and a checksum (4); the checksums
    are not verified.
    """

    def __init__(self, paths: Sequence[Path], lengths: Sequence[int]):
        self._files = [os.open(path, os.O_RDONLY) for path in paths]
        located = [
            _locate_records(path, file, length)
            for path, file, length in zip(paths, self._files, lengths, strict=True)
        ]
        self._offsets = np.concatenate(located)
        self._shards = np.repeat(np.arange(len(paths)), lengths)

    def __len__(self) -> int:
        return len(self._offsets)

    def __del__(self):
        for file in getattr(self, "_files", []):
            os.close(file)

    def read(self, positions_N: np.ndarray) -> list[bytes]:
        """Returns the records at `positions_N`, in that order."""
        positions = np.asarray(positions_N)
        return [
            os.pread(self._files[shard], length, offset)
            for shard, (offset, length) in zip(
                self._shards[positions].tolist(), self._offsets[positions].tolist(), strict=True
            )
        ]


def _locate_records(path: Path, file: int, count: int) -> np.ndarray:
    """Returns the int64 (count, 2) offsets and lengths of a tfrecord file's records."""
    size, position = os.fstat(file).st_size, 0
    located = np.empty((count, 2), np.int64)
    for i in range(count):
        header = os.pread(file, 8, position)
        length = struct.unpack("<Q", header)[0] if len(header) == 8 else size
        if position + 16 + length > size:
            raise _damaged(path, f"it ends within record {i} of {count}")
        located[i] = position + 12, length
        position += 16 + length
    if position != size:
        raise _damaged(path, f"it holds more than the {count} records that were written")
    return located


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged: {reason}. Delete its folder and prepare it again")
