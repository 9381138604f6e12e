"""Write a grid's records as array_record shards: each appears whole, and is not written twice."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from array_record.python import array_record_module

from data_pipelines.example_proto import encode_example
from data_pipelines.formats.integrity import damage_is_a_user_error
from data_pipelines.formats.readers import ImageFile
from data_pipelines.grid import DatasetSpec
from data_pipelines.progress import Progress
from data_pipelines.staging import disk_error
from qlae.common.errors import UserError

_BLOCK = 1024  # images in memory at a time
# Reading speed is what counts: images of 12 KB decompress slower than they are read.
_OPTIONS = "group_size:1,uncompressed"


def write_shards(
    spec: DatasetSpec, images: ImageFile, staging: Path, images_per_shard: int
) -> list[Path]:
    """Writes the whole grid into `staging` in grid order; returns the shards' paths.

    Shards that are already there are kept, so an interrupted preparation goes on.

    Raises:
        UserError: the disk is full, the directory cannot be written, or the source is damaged.
    """
    starts = range(0, spec.num_images, images_per_shard)
    paths = [staging / f"shard-{start:08d}" for start in starts]
    written = sum(
        min(images_per_shard, spec.num_images - start)
        for start, path in zip(starts, paths, strict=True)
        if path.exists()
    )
    progress = Progress(spec.name, spec.num_images, "images")
    progress.start_at(written)
    for start, path in zip(starts, paths, strict=True):
        if path.exists():
            continue
        stop = min(start + images_per_shard, spec.num_images)
        part = path.with_suffix(".part")
        try:
            for done in _write_shard(spec, images, part, start, stop):
                progress.update(written + done)
            part.rename(path)
        except OSError as error:
            raise disk_error(error, staging) from error
        finally:
            part.unlink(missing_ok=True)
        written += stop - start
    return paths


def _write_shard(spec, images: ImageFile, path: Path, start: int, stop: int) -> Iterator[int]:
    """Writes grid positions start to stop, yielding how many are written so far."""
    writer = array_record_module.ArrayRecordWriter(os.fspath(path), _OPTIONS)
    try:
        for block in range(start, stop, _BLOCK):
            end = min(block + _BLOCK, stop)
            with damage_is_a_user_error(f"the source of {spec.name}"):
                pixels = images.read(block, end)
            for record in _encode(spec, pixels, np.arange(block, end)):
                writer.write(record)
            yield end - start
    finally:
        try:
            writer.close()
        except RuntimeError as error:
            raise OSError(errno.EIO, str(error).splitlines()[0]) from error
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _encode(spec: DatasetSpec, images_NxHxWxC, indices_N) -> Iterator[bytes]:
    """Yields each image's record: the pixels, and each source's class and real value."""
    if images_NxHxWxC.shape != (len(indices_N), *spec.image_shape):
        raise UserError(f"{spec.name} came as images of shape {images_NxHxWxC.shape[1:]}")
    labels = [f"label_{name}" for name in spec.source_names]
    values = [f"value_{name}" for name in spec.source_names]
    sources_NxS = spec.sources_at(indices_N)
    values_NxS = spec.values_at(sources_NxS)
    for image, classes, reals in zip(
        images_NxHxWxC, sources_NxS.tolist(), values_NxS.tolist(), strict=True
    ):
        ints = dict(zip(labels, classes, strict=True))
        floats = dict(zip(values, reals, strict=True))
        yield encode_example(image.tobytes(), ints, floats)
