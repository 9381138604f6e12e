"""MPI3D and dSprites as npz, streamed from the archive: the arrays are larger than memory."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from data_pipelines import specs
from data_pipelines.formats import grid_order, integrity
from data_pipelines.grid import DatasetSpec
from qlae.common.errors import UserError

_SKIP = 16 << 20  # bytes read at a time to reach a position in a compressed member


class NpzImages:
    """Images of one array of an npz file, in file order.

    Args:
        spec: the dataset.
        path: the file.
        image_key: names the uint8 (N, H, W[, C]) images in it.
        label_key: names the (N, S) classes of the sources; None where the order alone tells them.
        num_constant_labels: columns of the labels before those of the spec's sources.

    Raises:
        UserError: not an npz, without these arrays, or not the full grid in grid order.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        path: Path,
        image_key: str,
        label_key: str | None = None,
        num_constant_labels: int = 0,
    ):
        integrity.require_kind(path, "zip")
        self._spec, self._origin, self._member = spec, integrity.origin_of(path), f"{image_key}.npy"
        _check_variant(spec, path)
        self._archive = zipfile.ZipFile(path)
        try:
            self._open(label_key, num_constant_labels)
        except BaseException:
            self._archive.close()
            raise

    def _open(self, label_key: str | None, num_constant_labels: int) -> None:
        self._stream, shape, dtype = self._open_array(self._member)
        grid_order.check_images(self._spec, shape, dtype, self._origin)
        self._header, self._next = self._stream.tell(), 0
        self._row = int(np.prod(self._spec.image_shape))
        whole = self._header + self._row * shape[0]
        stated = self._archive.getinfo(self._member).file_size
        if stated != whole:
            raise UserError(
                f"{self._origin} is truncated: {self._member} has {stated} bytes, expected {whole}"
            )
        if label_key is not None:
            stream, shape, dtype = self._open_array(f"{label_key}.npy")
            labels = np.frombuffer(stream.read(), dtype).reshape(shape)[:, num_constant_labels:]
            order = grid_order.find_grid_order(self._spec, labels, self._origin)
            grid_order.require_file_order(order, self._origin)

    def _open_array(self, member: str):
        """Returns a member's stream, after its header, and the array's shape and dtype."""
        if member not in self._archive.namelist():
            held = (name.removesuffix(".npy") for name in self._archive.namelist())
            raise UserError(
                f"{self._origin} has no array {member.removesuffix('.npy')!r} (it has "
                f"{integrity.list_names(held)}): expected the published file of {self._spec.name}"
            )
        stream = self._archive.open(member)
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran_order, dtype = read_header(stream)
        if fortran_order or dtype.hasobject:
            raise UserError(f"{self._origin} stores {member} in an unexpected layout")
        return stream, shape, dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        """Returns the uint8 (stop - start, H, W, C) images at grid positions start to stop."""
        try:
            self._seek(start)
            raw = self._stream.read((stop - start) * self._row)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise self._damage(start, stop) from error
        if len(raw) != (stop - start) * self._row:
            raise self._damage(start, stop)
        self._next = stop
        images = np.frombuffer(raw, np.uint8).reshape(-1, *self._spec.image_shape)
        return images * np.uint8(255) if self._spec.binary else images

    def _seek(self, position: int) -> None:
        if position == self._next:
            return
        self._stream.close()
        self._stream = self._archive.open(self._member)
        remaining = self._header + position * self._row
        while remaining:
            passed = len(self._stream.read(min(remaining, _SKIP)))
            if not passed:
                raise EOFError
            remaining -= passed

    def _damage(self, start: int, stop: int) -> UserError:
        return UserError(
            f"{self._origin} is damaged: images {start} to {stop - 1} cannot be read; download it "
            "again"
        )

    def close(self) -> None:
        """Releases the file."""
        self._stream.close()
        self._archive.close()


def _check_variant(spec: DatasetSpec, path: Path) -> None:
    """Three MPI3D variants have the same shape, so their published names must tell them apart."""
    for other in specs.SPECS:
        if other.startswith("mpi3d_") and other != spec.name and path.stem == other:
            raise UserError(f"{path} is {other} by its name; expected the file of {spec.name}")
