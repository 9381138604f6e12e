"""Datasets on disk: what `data_pipelines.prepare`, or a stock TFDS builder, has written."""

from __future__ import annotations

import functools
import io
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image

from data_pipelines import example_proto
from data_pipelines.cache import cached_array, copy_to_cache
from data_pipelines.grid import DatasetSpec
from data_pipelines.record_files import Records, open_records
from qlae.common.errors import UserError
from qlae.common.files import is_remote, to_path

_SPLIT = "train"
_BLOCK = 2048


class _OnDisk:
    """What datasets that were not rendered here have in common."""

    spec: DatasetSpec

    def render(self, indices_N, tables=None):
        """Refuse: only rendered datasets can be computed inside a step."""
        raise UserError(
            f"{self.spec.name} is read from disk and cannot be rendered inside the step: use "
            "emit='image'"
        )


class PreparedDataset(_OnDisk):
    """Images of a prepared dataset by grid position, read from its record files."""

    def __init__(self, spec: DatasetSpec, records: Records, order: np.ndarray | None):
        self.spec = spec
        self._records, self._order = records, order
        self._marker = example_proto.bytes_marker("image", int(np.prod(spec.image_shape)))

    def images(self, indices_N: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns the uint8 (N, H, W, C) images at `indices_N`, in [0, 255]."""
        indices = self.spec.check_indices(indices_N)
        positions = indices if self._order is None else self._order[indices]
        images = self.spec.empty_images(len(indices)) if out is None else out
        for image, record in zip(images, self._records.read(positions), strict=True):
            self._decode(record, image)
        if self.spec.binary:
            # Some preparations store 0 and 1.
            np.multiply(images > 0, np.uint8(255), out=images)
        return images

    def _decode(self, record: bytes, image: np.ndarray) -> None:
        found = record.find(self._marker)
        if found >= 0:
            raw = np.frombuffer(record, np.uint8, image.size, found + len(self._marker))
            image[:] = raw.reshape(image.shape)
            return
        encoded = example_proto.read_bytes(record, "image")
        try:
            decoded = np.asarray(Image.open(io.BytesIO(encoded)))
        except OSError as error:
            raise UserError(f"an image of {self.spec.name} is neither raw nor a PNG") from error
        if decoded.size != image.size:
            raise UserError(
                f"an image of {self.spec.name} is {decoded.shape}; expected {image.shape}"
            )
        image[:] = decoded.reshape(image.shape)


class MemoryDataset(_OnDisk):
    """Every image of another dataset, held in memory."""

    def __init__(self, dataset: PreparedDataset):
        self.spec = dataset.spec
        self._images = self.spec.empty_images(self.spec.num_images)
        for start in range(0, self.spec.num_images, _BLOCK):
            stop = min(start + _BLOCK, self.spec.num_images)
            dataset.images(np.arange(start, stop), out=self._images[start:stop])

    def images(self, indices_N: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns the uint8 (N, H, W, C) images at `indices_N`, in [0, 255]."""
        indices = self.spec.check_indices(indices_N)
        images = self.spec.empty_images(len(indices)) if out is None else out
        # With mode "clip" numpy writes straight into `out`.
        return np.take(self._images, indices, axis=0, out=images, mode="clip")


def open_prepared(
    spec: DatasetSpec,
    data_dir: str | os.PathLike,
    cache: str = "auto",
    cache_dir: str | os.PathLike | None = None,
) -> PreparedDataset | MemoryDataset:
    """Opens the dataset of `spec` under `data_dir`, or in it.

    Args:
        spec: the dataset.
        data_dir: a local or remote (`gs://`) TFDS data directory.
        cache: "none" reads in place and copies nothing, which local data alone can do; "disk"
            copies the files to `cache_dir` first; "ram" holds every image in memory, and copies
            remote files first; "auto" is "disk" for remote data and "none" for local.
        cache_dir: where copies are kept, and the order of records that are not in grid order; by
            default the user's cache.

    Raises:
        UserError: nothing prepared there, not the whole of this dataset, or remote data that
            must not be copied.
    """
    remote = is_remote(data_dir)
    if remote and cache == "none":
        raise UserError(
            f"{data_dir} is remote and cannot be read in place, as cache='none' asks: let "
            "cache='auto' copy it to this host once, or mount it and name the mount"
        )
    try:
        folder = find_prepared(spec, data_dir)
        if cache == "disk" or remote:
            folder = copy_to_cache(folder, cache_dir)
    except ImportError as error:
        raise UserError(f"cannot read {data_dir}: {error}") from error
    folder = Path(folder)
    info = _load_info(folder, spec)
    lengths = [int(length) for length in info["shardLengths"]]
    paths = _shard_paths(folder, info["format"], len(lengths))
    records = open_records(paths, info["format"], lengths)
    order = None
    if not _is_in_grid_order(spec, records):
        key = "".join(f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}\n" for p in paths)
        find = functools.partial(_find_order, spec, records)
        order = cached_array(f"{spec.name}-order", f"{folder}\n{key}", find, cache_dir)
    dataset = PreparedDataset(spec, records, order)
    return MemoryDataset(dataset) if cache == "ram" else dataset


def find_prepared(spec: DatasetSpec, data_dir: str | os.PathLike):
    """Returns the folder of the newest prepared version of `spec` under `data_dir`, or it itself.

    Raises:
        UserError: there is none.
    """
    root = to_path(data_dir)
    if (root / "dataset_info.json").exists():
        return root
    versions = []
    base = root / spec.name
    if base.exists():
        for folder in base.iterdir():
            parts = folder.name.split(".")
            if all(p.isdigit() for p in parts) and (folder / "dataset_info.json").exists():
                versions.append((tuple(int(p) for p in parts), folder))
    if not versions:
        raise UserError(
            f"{spec.name} is not prepared in {data_dir}: run "
            f"python -m data_pipelines.prepare {spec.name} --data_dir={data_dir}"
        )
    return max(versions)[1]


def _load_info(folder: Path, spec: DatasetSpec) -> dict:
    """Returns the split's shard lengths and file format, from TFDS' dataset_info.json."""
    try:
        info = json.loads((folder / "dataset_info.json").read_text())
        split = next(s for s in info["splits"] if s["name"] == _SPLIT)
        name, lengths = info["name"], split["shardLengths"]
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise UserError(
            f"{folder}/dataset_info.json is not that of a TFDS dataset with a {_SPLIT} split"
        ) from error
    if name != spec.name:
        raise UserError(f"{folder} holds {name}; expected {spec.name}")
    count = sum(int(length) for length in lengths)
    if count != spec.num_images:
        raise UserError(f"{folder} holds {count} images; {spec.name} has {spec.num_images}")
    return {"shardLengths": lengths, "format": info.get("fileFormat", "tfrecord")}


def _shard_paths(folder: Path, file_format: str, count: int) -> list[Path]:
    paths = sorted(folder.glob(f"*-{_SPLIT}.{file_format}*"))
    if len(paths) != count:
        raise UserError(
            f"{folder} has {len(paths)} of {count} {file_format} files: delete it and prepare it "
            "again"
        )
    return paths


def _is_in_grid_order(spec: DatasetSpec, records: Records) -> bool:
    """Whether record i shows grid position i, judged by 64 records over the whole."""
    indices = np.linspace(0, spec.num_images - 1, min(64, spec.num_images)).astype(np.int64)
    return np.array_equal(_grid_positions(spec, records, indices), indices)


def _grid_positions(spec: DatasetSpec, records: Records, positions_N: np.ndarray) -> np.ndarray:
    """Returns the grid positions that the labels of some records name."""
    names = tuple(f"label_{name}" for name in spec.source_names)
    labels = [example_proto.read_ints(record, names) for record in records.read(positions_N)]
    return spec.indices_of(np.array(labels, np.int64).reshape(-1, spec.num_sources))


def _find_order(spec: DatasetSpec, records: Records) -> np.ndarray:
    """Returns the int64 (num_images,) record of each grid position, by reading every label."""
    order = np.full(spec.num_images, -1, np.int64)
    for start in range(0, spec.num_images, _BLOCK):
        positions = np.arange(start, min(start + _BLOCK, spec.num_images))
        order[_grid_positions(spec, records, positions)] = positions
    missing = int((order < 0).sum())
    if missing:
        raise UserError(f"the labels of prepared {spec.name} leave {missing} of the grid unseen")
    return order
