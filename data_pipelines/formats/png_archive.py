"""Falcor3D and Isaac3D: numbered PNG files beside a npy file of labels in [0, 1]."""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from data_pipelines.formats import grid_order, integrity
from data_pipelines.formats.archive import open_archive
from data_pipelines.formats.resize import resize
from data_pipelines.grid import DatasetSpec
from qlae.common.errors import UserError

_NUMBERED = re.compile(r"(?:^|/)images/(\d{6})\.png$")
_PUBLISHED_SIZE = 128
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class PngArchive:
    """Images of a directory, zip or tar of PNG files, by grid position.

    Args:
        spec: the dataset.
        path: the archive, or the directory unpacked from it.
        scratch: where a compressed tar is decompressed.
        label_name: names the npy file of (N, S) labels.

    Raises:
        UserError: images or labels are missing, or the labels are not the full grid.
    """

    def __init__(self, spec: DatasetSpec, path: Path, scratch: Path, label_name: str):
        self._spec, self._origin = spec, integrity.origin_of(path)
        self._archive = open_archive(path, scratch)
        self._pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
        try:
            self._open(label_name)
        except BaseException:
            self.close()
            raise

    def _open(self, label_name: str) -> None:
        count = self._spec.num_images
        self._root, found, labels = "", 0, None
        self._places = np.full((count, 2), -1, np.int64)
        present = np.zeros(count, bool)
        for name, where in self._archive.entries():
            match = _NUMBERED.search(name)
            if match:
                number, found = int(match[1]), found + 1
                if number < count:
                    present[number] = True
                    self._root = name[: match.start(1)]
                    if where is not None:
                        self._places[number] = where
            elif name.rpartition("/")[2] == label_name:
                labels = self._load_labels(name, where)
        if labels is None:
            raise UserError(
                f"{self._origin} has no {label_name}: expected the published archive of "
                f"{self._spec.name}"
            )
        self._order = grid_order.find_grid_order(self._spec, labels, f"{self._origin}/{label_name}")
        if not present.all():
            first = int(np.flatnonzero(~present)[0])
            raise UserError(
                f"{self._origin} lacks {int((~present).sum())} of {count} images, the first "
                f"images/{first:06d}.png: download it again"
            )
        grid_order.check_count(self._spec, found, f"{self._origin}/images")

    def _load_labels(self, name: str, where) -> np.ndarray:
        try:
            return np.load(io.BytesIO(self._archive.read(name, where)), allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise UserError(f"{self._origin}/{name} is not a whole npy file of labels") from error

    def read(self, start: int, stop: int) -> np.ndarray:
        """Returns the uint8 (stop - start, H, W, C) images at grid positions start to stop."""
        numbers = self._order[start:stop]
        names = [f"{self._root}{number:06d}.png" for number in numbers]
        encoded = [
            self._archive.read(name, tuple(self._places[number]))
            for name, number in zip(names, numbers, strict=True)
        ]
        return np.stack(list(self._pool.map(self._decode, names, encoded)))

    def _decode(self, name: str, encoded: bytes) -> np.ndarray:
        with integrity.damage_is_a_user_error(f"{self._origin}/{name}"):
            _require_whole(encoded)
            image = Image.open(io.BytesIO(encoded))
            image.load()
        if image.size != (_PUBLISHED_SIZE, _PUBLISHED_SIZE):
            raise UserError(
                f"{self._origin}/{name} is {image.size[0]}x{image.size[1]} pixels; expected "
                f"{_PUBLISHED_SIZE}x{_PUBLISHED_SIZE}"
            )
        return resize(image.convert("RGB"), self._spec.image_shape[0])

    def close(self) -> None:
        """Releases the archive."""
        self._archive.close()
        self._pool.shutdown(wait=False)


def _require_whole(png: bytes) -> None:
    """Compares every chunk's checksum, which the decoder does not do for pixels."""
    position, kind = len(_SIGNATURE), b""
    if png[:position] != _SIGNATURE:
        raise ValueError("not a PNG")
    while kind != b"IEND":
        if position + 12 > len(png):
            raise ValueError("its PNG data ends early")
        length, kind = struct.unpack_from(">I4s", png, position)
        end = position + 8 + length
        if end + 4 > len(png):
            raise ValueError("its PNG data ends early")
        if zlib.crc32(png[position + 4 : end]) != struct.unpack_from(">I", png, end)[0]:
            raise ValueError("a checksum of its PNG data differs")
        position = end + 4
