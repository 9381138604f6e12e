"""The table of readers: what opens the published files of each dataset."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from data_pipelines.formats import integrity
from data_pipelines.formats.cars3d import CarImages
from data_pipelines.formats.hdf5 import Hdf5Images
from data_pipelines.formats.npz import NpzImages
from data_pipelines.formats.png_archive import PngArchive
from data_pipelines.formats.rendered import RenderedImages
from data_pipelines.formats.smallnorb import NorbImages
from data_pipelines.grid import DatasetSpec


class ImageFile(Protocol):
    """The images of published files, by grid position."""

    def read(self, start: int, stop: int) -> np.ndarray:
        """Returns the uint8 (stop - start, H, W, C) images at grid positions start to stop."""

    def close(self) -> None:
        """Releases the files."""


# Takes the dataset, its file or directory, and a folder for what must be decompressed; checks
# that the file is whole and the full grid.
Reader = Callable[[DatasetSpec, Path, Path], ImageFile]


def open_shapes3d(spec: DatasetSpec, path: Path, scratch: Path) -> ImageFile:
    """Opens 3dshapes.h5."""
    return Hdf5Images(spec, path, "images", "labels")


def open_dsprites(spec: DatasetSpec, path: Path, scratch: Path) -> ImageFile:
    """Opens dSprites' HDF5 or npz file; its first label is the colour, which is always white."""
    if integrity.require_kind(path, "HDF5", "zip") == "HDF5":
        return Hdf5Images(spec, path, "imgs", "latents/classes", num_constant_labels=1)
    return NpzImages(spec, path, "imgs", "latents_classes", num_constant_labels=1)


def open_mpi3d(spec: DatasetSpec, path: Path, scratch: Path) -> ImageFile:
    """Opens any variant of MPI3D: one array in grid order, without labels."""
    return NpzImages(spec, path, "images")


def open_smallnorb(spec: DatasetSpec, path: Path, scratch: Path) -> ImageFile:
    """Opens the directory of smallNORB's six files."""
    return NorbImages(spec, path)


def open_rendered(spec: DatasetSpec, path: Path, scratch: Path) -> ImageFile:
    """Opens a rendered dataset, which has no file."""
    return RenderedImages(spec)


READERS: dict[str, Reader] = {
    "shapes3d": open_shapes3d,
    "shapes3d_rendered": open_rendered,
    "dsprites": open_dsprites,
    "dsprites_rendered": open_rendered,
    "mpi3d_complex": open_mpi3d,
    "mpi3d_toy": open_mpi3d,
    "mpi3d_realistic": open_mpi3d,
    "mpi3d_real": open_mpi3d,
    "falcor3d": functools.partial(PngArchive, label_name="train-rec.labels"),
    "isaac3d": functools.partial(PngArchive, label_name="labels.npy"),
    "smallnorb": open_smallnorb,
    "cars3d": CarImages,
}
