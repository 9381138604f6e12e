"""Random access to a dataset's images by grid position, whatever they come from."""

from __future__ import annotations

import functools
import os
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines import rendering
from data_pipelines.grid import DatasetSpec
from data_pipelines.specs import get_spec
from qlae.common.errors import UserError

_SMALLEST, _LARGEST = 8, 256
CACHES = ("auto", "none", "disk", "ram")


class Dataset(Protocol):
    """Images of a full grid; index i is grid position i of `spec`."""

    spec: DatasetSpec

    def images(self, indices_N: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns the uint8 (N, H, W, C) images at `indices_N`, in [0, 255].

        They are written into `out` if it is given: contiguous, of that shape and type.
        """

    def render(self, indices_N: jax.Array, tables=None) -> jax.Array:
        """Returns the same inside jit.

        Raises:
            UserError: the dataset is not rendered.
        """


class RenderedDataset:
    """Images computed from their sources: on the host, or inside a jitted step."""

    def __init__(self, spec: DatasetSpec):
        self.spec = spec
        self.tables = rendering.load_tables(spec)

    @functools.cached_property
    def _host_renderer(self):
        return rendering.make_host_renderer(self.spec)

    def images(self, indices_N: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns the uint8 (N, H, W, C) images at `indices_N`, in [0, 255]."""
        sources_NxS = self.spec.sources_at(indices_N)
        images = self.spec.empty_images(len(sources_NxS)) if out is None else out
        self._host_renderer(sources_NxS, images)
        return images

    def render(self, indices_N: jax.Array, tables=None) -> jax.Array:
        """Returns the same images as `images`, computed where `indices_N` lives.

        For use inside jit, where the tables become a constant of the program; pass
        `dataset.tables` through the step's arguments instead if that constant is unwelcome.
        """
        tables = self._device_tables if tables is None else tables
        columns = jnp.unravel_index(indices_N, self.spec.cardinalities)
        sources_NxS = jnp.stack(columns, axis=-1)
        return rendering.render(self.spec, tables, sources_NxS, jnp)

    @functools.cached_property
    def _device_tables(self):
        # Concrete even when first asked for while tracing.
        with jax.ensure_compile_time_eval():
            return jnp.asarray(self.tables)


def make_dataset(
    name: str,
    *,
    image_size: int = 64,
    data_dir: str | os.PathLike | None = None,
    cache: str = "auto",
    cache_dir: str | os.PathLike | None = None,
) -> Dataset:
    """Opens dataset `name`.

    Args:
        name: a key of `specs.SPECS`.
        image_size: height and width in pixels; rendered datasets take any from 8 to 256, the
            others are used at 64.
        data_dir: where `data_pipelines.prepare` (or a stock TFDS builder) put a dataset that
            is not rendered, local or remote; by default where TFDS keeps its data.
        cache: how to read such a dataset: "none" in place, where it is local, "disk" from a copy
            on this host, "ram" from memory; "auto" is "disk" for remote data, "none" for local.
        cache_dir: where copies are kept; by default the user's cache.

    Raises:
        UserError: unknown name or cache, unsupported size, or a dataset that is not prepared.
    """
    spec = get_spec(name)
    if cache not in CACHES:
        raise UserError(f"cache must be one of {', '.join(CACHES)}; got {cache!r}")
    if spec.rendered:
        if not _SMALLEST <= image_size <= _LARGEST:
            raise UserError(
                f"image_size {image_size} is out of range: {name} renders {_SMALLEST} to "
                f"{_LARGEST} pixels"
            )
        return RenderedDataset(spec.with_image_size(image_size))
    if (image_size, image_size) != spec.image_shape[:2]:
        raise UserError(
            f"image_size {image_size} does not suit {name}: it is prepared at "
            f"{spec.image_shape[0]} pixels"
        )
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    from data_pipelines.prepared import open_prepared  # array_record: rendering does without

    return open_prepared(spec, data_dir, cache, cache_dir)
