"""Small files in the true format of each published dataset, for tests of preparing them."""

from __future__ import annotations

import dataclasses
import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from PIL import Image

from data_pipelines.formats.resize import resize
from data_pipelines.grid import DatasetSpec, Source
from data_pipelines.publication import PublishedFile
from data_pipelines.specs import SPECS

# Fewer values for each source, so that a whole grid stays small.
SMALL = {
    "shapes3d": (2, 3, 2, 2, 4, 3),
    "dsprites": (3, 2, 4, 2, 3),
    "mpi3d_complex": (2, 2, 2, 3, 2, 2, 3),
    "mpi3d_toy": (3, 2, 2, 3, 2, 2, 3),
    "mpi3d_realistic": (3, 2, 2, 3, 2, 2, 3),
    "mpi3d_real": (3, 2, 2, 3, 2, 2, 3),
    "falcor3d": (5, 2, 1, 2, 2, 1, 2),
    "isaac3d": (3, 8, 1, 2, 1, 2, 1, 1, 2),
    "smallnorb": (3, 4, 2, 3, 2),
    "cars3d": (4, 3, 5),
}


def shrink(monkeypatch, name: str) -> DatasetSpec:
    """Give dataset ``name`` fewer values for the duration of a test; return its spec."""
    spec = SPECS[name]
    sources = tuple(
        Source(source.name, source.values[:count])
        for source, count in zip(spec.sources, SMALL[name], strict=True)
    )
    small = dataclasses.replace(spec, sources=sources)
    monkeypatch.setitem(SPECS, name, small)
    return small


def publish(monkeypatch, spec: DatasetSpec, *published: PublishedFile) -> None:
    """Publish `spec` as other files for the duration of a test."""
    publication = dataclasses.replace(spec.publication, files=published)
    changed = dataclasses.replace(SPECS[spec.name], publication=publication)
    monkeypatch.setitem(SPECS, spec.name, changed)


def noise(spec: DatasetSpec, size: int | None = None, channels: int = 3, seed: int = 0):
    """Return uint8 images of the grid, smooth enough that resizing them is meaningful."""
    size = size or spec.image_shape[0]
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (spec.num_images, 8, 8, channels), dtype=np.uint8)
    return coarse.repeat(size // 8, axis=1).repeat(size // 8, axis=2)


def write_shapes3d(spec: DatasetSpec, path: Path, images=None, labels=None) -> np.ndarray:
    """Write 3dshapes.h5 with chunks that span many images; return the expected images."""
    images = noise(spec) if images is None else images
    labels = (
        spec.values_at(spec.sources_at(np.arange(spec.num_images))) if labels is None else labels
    )
    with h5py.File(path, "w") as file:
        chunks = (min(100, len(images)), 16, 16, 1)
        file.create_dataset("images", data=images, chunks=chunks, compression="gzip")
        file.create_dataset("labels", data=labels)
    return images


def dsprites_arrays(spec: DatasetSpec):
    """Return the arrays of the dSprites file: pixels 0 and 1, and a colour of one class."""
    images = (noise(spec, channels=1)[..., 0] > 127).astype(np.uint8)
    classes = spec.sources_at(np.arange(spec.num_images)).astype(np.int64)
    white = np.zeros((len(classes), 1), np.int64)
    classes = np.concatenate([white, classes], axis=1)
    values = np.concatenate([white + 1.0, spec.values_at(classes[:, 1:])], axis=1)
    return images, classes, values


def write_dsprites_npz(spec: DatasetSpec, path: Path) -> np.ndarray:
    """Write the npz of dSprites; return the expected images, 0 and 255."""
    images, classes, values = dsprites_arrays(spec)
    np.savez_compressed(path, imgs=images, latents_classes=classes, latents_values=values)
    return images[..., None] * np.uint8(255)


def write_dsprites_h5(spec: DatasetSpec, path: Path) -> np.ndarray:
    """Write the HDF5 of dSprites; return the expected images, 0 and 255."""
    images, classes, values = dsprites_arrays(spec)
    with h5py.File(path, "w") as file:
        file.create_dataset("imgs", data=images, chunks=(7, 64, 64), compression="gzip")
        file.create_dataset("latents/classes", data=classes)
        file.create_dataset("latents/values", data=values)
    return images[..., None] * np.uint8(255)


def write_mpi3d(spec: DatasetSpec, path: Path, compressed: bool = False) -> np.ndarray:
    """Write an npz of MPI3D; return the expected images."""
    images = noise(spec)
    (np.savez_compressed if compressed else np.savez)(path, images=images)
    return images


def unit_labels(spec: DatasetSpec) -> np.ndarray:
    """Return float32 labels in [0, 1], which scaling and rounding down would confuse."""
    columns = [np.linspace(0, 1, c) if c > 1 else np.zeros(1) for c in spec.cardinalities]
    sources = spec.sources_at(np.arange(spec.num_images))
    return np.stack([c[sources[:, i]] for i, c in enumerate(columns)], 1).astype(np.float32)


def png_members(spec: DatasetSpec, root: str, label_name: str, seed: int = 0):
    """Return the files of a PNG archive in a shuffled order, and the expected images."""
    images = noise(spec, 128)
    labels, order = unit_labels(spec), np.random.default_rng(seed).permutation(spec.num_images)
    buffer = io.BytesIO()
    np.save(buffer, labels[order])
    members = {f"{root}/{label_name}": buffer.getvalue()}
    for number, index in enumerate(order):
        png = io.BytesIO()
        Image.fromarray(images[index]).save(png, "PNG")
        members[f"{root}/images/{number:06d}.png"] = png.getvalue()
    expected = np.stack([resize(Image.fromarray(image), 64) for image in images])
    return members, expected


def write_zip(members: dict[str, bytes], path: Path) -> None:
    """Write a zip of ``members``."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_tar(members: dict[str, bytes], path: Path) -> None:
    """Write a tar, compressed if the name says so."""
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_folder(members: dict[str, bytes], path: Path) -> None:
    """Write ``members`` as files of a directory."""
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def car_members(spec: DatasetSpec):
    """Return one .mat for each car, and the expected images."""
    elevations, azimuths, cars = spec.cardinalities
    images = noise(spec, 128).reshape(elevations, azimuths, cars, 128, 128, 3)
    members = {"data/cars/list.txt": b"the cars"}
    for car in range(cars):
        buffer = io.BytesIO()
        scipy.io.savemat(buffer, {"im": images[:, :, car].transpose(2, 3, 4, 1, 0)})
        members[f"data/cars/car_{car:03d}_mesh.mat"] = buffer.getvalue()
    flat = images.reshape(-1, 128, 128, 3)
    return members, np.stack([resize(Image.fromarray(image), 64) for image in flat])


def norb_matrix(array: np.ndarray) -> bytes:
    """Return a smallNORB matrix file."""
    magic = 0x1E3D4C55 if array.dtype == np.uint8 else 0x1E3D4C54
    sizes = list(array.shape) + [1] * (3 - array.ndim)
    return struct.pack(f"<II{len(sizes)}i", magic, array.ndim, *sizes) + array.tobytes()


def write_smallnorb(spec: DatasetSpec, folder: Path) -> np.ndarray:
    """Write the six files of smallNORB, each part with half of the instances; expected images."""
    left = noise(spec, 96, channels=1)[..., 0]
    sources = spec.sources_at(np.arange(spec.num_images))
    rng = np.random.default_rng(0)
    for wanted in (0, 1):
        indices = rng.permutation(np.flatnonzero(sources[:, 1] % 2 == wanted))
        info = sources[indices, 1:].astype(np.int32)
        info[:, 2] *= 2  # published azimuths are even
        pair = np.stack([left[indices], 255 - left[indices]], axis=1)
        arrays = (pair, sources[indices, 0].astype(np.int32), info)
        published = spec.publication.files[3 * wanted : 3 * wanted + 3]
        for file, array in zip(published, arrays, strict=True):
            (folder / file.name).write_bytes(gzip.compress(norb_matrix(array)))
    return np.stack([resize(Image.fromarray(image), 64) for image in left])[..., None]
