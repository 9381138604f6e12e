"""Cars3D: one MATLAB file for each car, in a tar.gz or a directory, small enough to hold."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from data_pipelines.formats import integrity
from data_pipelines.formats.archive import open_archive
from data_pipelines.formats.resize import resize
from data_pipelines.grid import DatasetSpec
from qlae.common.errors import UserError

_SUFFIX = "_mesh.mat"


class CarImages:
    """Images of the cars; the object is the place of the file's name in sorted order.

    Each file's `im` is uint8 (128, 128, 3, azimuths, elevations).

    Args:
        spec: the dataset.
        path: the archive, or the directory unpacked from it.
        scratch: where a compressed tar is decompressed.

    Raises:
        UserError: another number of cars, or a file that is not a whole one of the published form.
    """

    def __init__(self, spec: DatasetSpec, path: Path, scratch: Path):
        self._spec, self._origin = spec, integrity.origin_of(path)
        elevations, azimuths, cars = spec.cardinalities
        archive = open_archive(path, scratch)
        try:
            files = sorted(entry for entry in archive.entries() if entry[0].endswith(_SUFFIX))
            if len(files) != cars:
                raise UserError(
                    f"{self._origin} holds {len(files)} files named *{_SUFFIX}; {spec.name} has "
                    f"{cars} cars: expected the published archive"
                )
            shape = (elevations, azimuths, cars, *spec.image_shape)
            images = np.empty(shape, np.uint8)
            for car, (name, where) in enumerate(files):
                images[:, :, car] = self._load_car(name, archive.read(name, where))
        finally:
            archive.close()
        self._images = images.reshape(-1, *spec.image_shape)

    def _load_car(self, name: str, encoded: bytes) -> np.ndarray:
        """Returns the uint8 (elevations, azimuths, H, W, C) images of one car."""
        elevations, azimuths, _ = self._spec.cardinalities
        size = self._spec.image_shape[0]
        try:
            mesh = scipy.io.loadmat(io.BytesIO(encoded), variable_names=["im"])["im"]
        except Exception as error:  # scipy raises many kinds on a damaged file
            raise UserError(f"{self._origin}/{name} is not a whole MATLAB file") from error
        expected = (128, 128, 3, azimuths, elevations)
        if mesh.shape != expected or mesh.dtype != np.uint8:
            raise UserError(
                f"{self._origin}/{name} holds {mesh.dtype} {mesh.shape}; expected uint8 {expected}"
            )
        flat = mesh.transpose(4, 3, 0, 1, 2).reshape(-1, 128, 128, 3)
        images = np.stack([resize(Image.fromarray(image), size) for image in flat])
        return images.reshape(elevations, azimuths, size, size, 3)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Returns the uint8 (stop - start, H, W, C) images at grid positions start to stop."""
        return self._images[start:stop]

    def close(self) -> None:
        """Nothing is open."""
