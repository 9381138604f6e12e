"""Shapes3D and dSprites as HDF5, read in runs of whole chunks to bound time and memory."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from data_pipelines.formats import grid_order, integrity
from data_pipelines.grid import DatasetSpec
from qlae.common.errors import UserError

_SHORTEST_RUN = 1024  # images
_LARGEST_RUN = 256 << 20  # bytes


class Hdf5Images:
    """Images of an HDF5 dataset in file order.

    Published files compress chunks that span thousands of images but only a few pixels, so a
    short run would decompress every chunk again: a run holds whole chunks, at least 1,024 images
    of them, where that fits into 256 MiB.

    Args:
        spec: the dataset.
        path: the file.
        image_key: names the uint8 (N, H, W[, C]) images in it.
        label_key: names the (N, S) classes or values of the sources.
        num_constant_labels: columns of the labels before those of the spec's sources.

    Raises:
        UserError: not HDF5, without these arrays, or not the full grid in grid order.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        path: Path,
        image_key: str,
        label_key: str,
        num_constant_labels: int = 0,
    ):
        integrity.require_kind(path, "HDF5")
        self._spec, self._origin = spec, integrity.origin_of(path)
        self._file = h5py.File(path, "r")
        try:
            self._open(image_key, label_key, num_constant_labels)
        except BaseException:
            self._file.close()
            raise

    def _open(self, image_key: str, label_key: str, num_constant_labels: int) -> None:
        for key in (image_key, label_key):
            if not isinstance(self._file.get(key), h5py.Dataset):
                raise UserError(
                    f"{self._origin} has no array {key!r} (it has "
                    f"{integrity.list_names(self._file)}): expected the published file of "
                    f"{self._spec.name}"
                )
        self._images = self._file[image_key]
        grid_order.check_images(self._spec, self._images.shape, self._images.dtype, self._origin)
        labels = self._file[label_key][:, num_constant_labels:]
        order = grid_order.find_grid_order(self._spec, labels, self._origin)
        grid_order.require_file_order(order, self._origin)
        row = int(np.prod(self._spec.image_shape))
        chunk = self._images.chunks[0] if self._images.chunks else 1
        whole_chunks = chunk * max(1, _SHORTEST_RUN // chunk)
        self._run_length = max(1, min(whole_chunks, _LARGEST_RUN // row))
        self._run_start, self._run = 0, np.empty((0, *self._images.shape[1:]), np.uint8)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Returns the uint8 (stop - start, H, W, C) images at grid positions start to stop."""
        images = np.empty((stop - start, *self._images.shape[1:]), np.uint8)
        position = start
        while position < stop:
            if not self._run_start <= position < self._run_start + len(self._run):
                self._load_run(position)
            offset = position - self._run_start
            part = self._run[offset : offset + stop - position]
            images[position - start : position - start + len(part)] = part
            position += len(part)
        images = images.reshape(-1, *self._spec.image_shape)
        return images * np.uint8(255) if self._spec.binary else images

    def _load_run(self, position: int) -> None:
        self._run_start = position // self._run_length * self._run_length
        stop = min(self._run_start + self._run_length, len(self._images))
        try:
            self._run = self._images[self._run_start : stop]
        except OSError as error:
            raise UserError(
                f"{self._origin} is damaged: images {self._run_start} to {stop - 1} cannot be "
                "read; download it again"
            ) from error

    def close(self) -> None:
        """Releases the file."""
        self._file.close()
