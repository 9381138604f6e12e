"""A dataset as a grid of sources: which image shows what."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from data_pipelines.publication import Publication
from qlae.common.errors import UserError


@dataclasses.dataclass(frozen=True)
class Source:
    """One ground-truth factor: its name and the real value of each of its integer classes."""

    name: str
    values: tuple[float, ...]

    @property
    def cardinality(self) -> int:
        """Number of classes."""
        return len(self.values)


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """A full factorial grid of images: every combination of sources occurs exactly once.

    Grid order is the order of the published files: index 0 has class 0 of every source and the
    last source varies fastest. Images are uint8 in [0, 255] whatever the source file stores.
    """

    name: str
    sources: tuple[Source, ...]
    image_shape: tuple[int, int, int] = (64, 64, 3)
    rendered: bool = False
    binary: bool = False  # the published pixels are 0 and 1; they are read as 0 and 255
    description: str = ""
    publication: Publication | None = None  # where its files are; rendered datasets have none

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of the sources in file order."""
        return tuple(source.name for source in self.sources)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of classes of each source in file order."""
        return tuple(source.cardinality for source in self.sources)

    @property
    def num_sources(self) -> int:
        """Number of sources, S."""
        return len(self.sources)

    @property
    def num_images(self) -> int:
        """Number of images: the product of the cardinalities."""
        return math.prod(self.cardinalities)

    @property
    def num_latents(self) -> int:
        """The number of latents that the paper gives a model of this dataset: Z = 2 S."""
        return 2 * self.num_sources

    def check_indices(self, indices_N) -> np.ndarray:
        """Returns `indices_N` as an array of grid positions.

        Raises:
            UserError: an index lies outside the grid.
        """
        indices = np.asarray(indices_N)
        if indices.size and (indices.min() < 0 or indices.max() >= self.num_images):
            raise UserError(
                f"index out of range: {self.name} has images 0 to {self.num_images - 1}"
            )
        return indices

    def sources_at(self, indices_N) -> np.ndarray:
        """Returns the int32 (N, S) classes of the images at grid positions `indices_N`.

        Raises:
            UserError: an index lies outside the grid.
        """
        indices = self.check_indices(indices_N)
        columns = np.unravel_index(indices.astype(np.int64), self.cardinalities)
        return np.stack(columns, axis=-1).astype(np.int32)

    def indices_of(self, sources_NxS) -> np.ndarray:
        """Returns the int64 (N,) grid positions of integer classes `sources_NxS`.

        Raises:
            UserError: the wrong number of sources, or a class outside a source's range.
        """
        sources = np.asarray(sources_NxS)
        if sources.shape[-1:] != (self.num_sources,):
            raise UserError(
                f"{self.name} has {self.num_sources} sources; got an array of shape {sources.shape}"
            )
        sources = sources.astype(np.int64)
        if sources.size and (sources.min() < 0 or (sources >= self.cardinalities).any()):
            raise UserError(
                f"a class lies outside {self.name}'s cardinalities {self.cardinalities}"
            )
        columns = tuple(np.moveaxis(sources, -1, 0))
        return np.asarray(np.ravel_multi_index(columns, self.cardinalities), dtype=np.int64)

    def values_at(self, sources_NxS) -> np.ndarray:
        """Returns the float64 (N, S) real values of integer classes `sources_NxS`."""
        sources = np.asarray(sources_NxS)
        columns = [np.asarray(s.values)[sources[..., i]] for i, s in enumerate(self.sources)]
        return np.stack(columns, axis=-1)

    def empty_images(self, count: int) -> np.ndarray:
        """Returns an uninitialised uint8 (count, H, W, C) array for images of this dataset."""
        return np.empty((count, *self.image_shape), np.uint8)

    def with_image_size(self, image_size: int) -> DatasetSpec:
        """Returns this spec with square images of `image_size` pixels."""
        return dataclasses.replace(self, image_shape=(image_size, image_size, self.image_shape[-1]))
