"""smallNORB: binary matrices of images and labels for two parts, small enough to hold.

A matrix file is a magic number, the number of dimensions, at least three dimensions, and the
elements, all little-endian.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from PIL import Image

from data_pipelines.formats import grid_order, integrity
from data_pipelines.formats.resize import resize
from data_pipelines.grid import DatasetSpec
from qlae.common.errors import UserError

_IMAGES = "-dat.mat.gz"  # after the name of a part
_TYPES: dict[int, np.dtype] = {0x1E3D4C55: np.dtype("<u1"), 0x1E3D4C54: np.dtype("<i4")}
_PAIR = (2, 96, 96)


class NorbImages:
    """The left camera's images of both parts, by grid position.

    Args:
        spec: the dataset.
        folder: holds the six files, compressed or not.

    Raises:
        UserError: a file is missing, damaged or of another shape, or they are not the full grid.
    """

    def __init__(self, spec: DatasetSpec, folder: Path):
        assert spec.publication is not None
        names = [file.name for file in spec.publication.files]
        parts = [name.removesuffix(_IMAGES) for name in names if name.endswith(_IMAGES)]
        labels, images = [], []
        for part in parts:
            category = _load_matrix(folder, f"{part}-cat.mat").reshape(-1, 1)
            info = _load_matrix(folder, f"{part}-info.mat")
            if info.ndim != 2 or info.shape != (len(category), 4):
                raise UserError(f"{part}-info.mat has shape {info.shape}; expected (N, 4)")
            labels.append(np.concatenate([category, info], axis=1))
            images.append(_load_left_images(folder, f"{part}-dat.mat", len(category), spec))
        self._images = np.concatenate(images)
        self._order = grid_order.find_grid_order(
            spec, np.concatenate(labels), integrity.origin_of(folder)
        )

    def read(self, start: int, stop: int) -> np.ndarray:
        """Returns the uint8 (stop - start, H, W, C) images at grid positions start to stop."""
        return self._images[self._order[start:stop]]

    def close(self) -> None:
        """Nothing is open."""


def _load_matrix(folder: Path, name: str) -> np.ndarray:
    """Returns a small matrix whole."""
    with _open_matrix(folder, name) as file:
        shape, dtype = _read_header(file, name)
        matrix = _read_elements(file, name, shape, dtype)
        _require_end(file, name)
    return matrix


def _load_left_images(folder: Path, name: str, count: int, spec: DatasetSpec) -> np.ndarray:
    """Returns the uint8 (count, H, W, 1) left images, reduced one by one to bound memory."""
    images = np.empty((count, *spec.image_shape), np.uint8)
    with _open_matrix(folder, name) as file:
        shape, dtype = _read_header(file, name)
        if shape != (count, *_PAIR) or dtype != np.uint8:
            raise UserError(f"{name} holds {dtype} {shape}; expected uint8 {(count, *_PAIR)}")
        for i in range(count):
            left = _read_elements(file, name, _PAIR, dtype)[0]
            images[i, ..., 0] = resize(Image.fromarray(left), spec.image_shape[0])
        _require_end(file, name)
    return images


def _open_matrix(folder: Path, name: str):
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            integrity.refuse_web_page(path, "a smallNORB matrix")
            return gzip.open(path, "rb") if integrity.sniff(path) == "gzip" else path.open("rb")
    raise UserError(f"{folder} has no {name} or {name}.gz: expected the six files of smallnorb")


def _read_header(file, name: str) -> tuple[tuple[int, ...], np.dtype]:
    magic, rank = _read_elements(file, name, (2,), np.dtype("<u4")).tolist()
    if magic not in _TYPES or not 1 <= rank <= 8:
        raise UserError(f"{name} is not a smallNORB matrix: its magic number is {magic:#x}")
    sizes = _read_elements(file, name, (max(3, rank),), np.dtype("<i4")).tolist()
    return tuple(sizes[:rank]), _TYPES[magic]


def _read_elements(file, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    length = int(np.prod(shape)) * dtype.itemsize
    raw = file.read(length)
    if len(raw) != length:
        raise UserError(f"{name} is truncated or damaged (it ends early): download it again")
    return np.frombuffer(raw, dtype).reshape(shape)


def _require_end(file, name: str) -> None:
    """Reads to the end, where a compressed file keeps its checksum."""
    if file.read(1):
        raise UserError(f"{name} is longer than its matrix: download it again")
