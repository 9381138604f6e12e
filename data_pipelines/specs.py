"""The only place that knows each dataset's sources, their values, and its image shape."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from qlae.common.errors import UserError, make_unknown_name_error


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
        """Return ``indices_N`` as an array of grid positions.

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
        """Return the int32 (N, S) classes of the images at grid positions ``indices_N``.

        Raises:
            UserError: an index lies outside the grid.
        """
        indices = self.check_indices(indices_N)
        columns = np.unravel_index(indices.astype(np.int64), self.cardinalities)
        return np.stack(columns, axis=-1).astype(np.int32)

    def indices_of(self, sources_NxS) -> np.ndarray:
        """Return the int64 (N,) grid positions of integer classes ``sources_NxS``.

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
        """Return the float64 (N, S) real values of integer classes ``sources_NxS``."""
        sources = np.asarray(sources_NxS)
        columns = [np.asarray(s.values)[sources[..., i]] for i, s in enumerate(self.sources)]
        return np.stack(columns, axis=-1)

    def empty_images(self, count: int) -> np.ndarray:
        """Return an uninitialised uint8 (count, H, W, C) array for images of this dataset."""
        return np.empty((count, *self.image_shape), np.uint8)

    def with_image_size(self, image_size: int) -> DatasetSpec:
        """Return this spec with square images of ``image_size`` pixels."""
        return dataclasses.replace(self, image_shape=(image_size, image_size, self.image_shape[-1]))


def _classes(name: str, cardinality: int) -> Source:
    """A source whose published values are just class numbers."""
    return Source(name, tuple(float(i) for i in range(cardinality)))


def _evenly(name: str, first: float, last: float, cardinality: int) -> Source:
    """A source whose values are evenly spaced, both ends included."""
    return Source(name, tuple(float(v) for v in np.linspace(first, last, cardinality)))


def _shapes3d(name: str, **kwargs) -> DatasetSpec:
    return DatasetSpec(
        name,
        (
            _evenly("floor_hue", 0.0, 0.9, 10),
            _evenly("wall_hue", 0.0, 0.9, 10),
            _evenly("object_hue", 0.0, 0.9, 10),
            _evenly("scale", 0.75, 1.25, 8),
            _classes("shape", 4),
            _evenly("orientation", -30.0, 30.0, 15),
        ),
        **kwargs,
    )


def _dsprites(name: str, last_angle: float, **kwargs) -> DatasetSpec:
    return DatasetSpec(
        name,
        (
            Source("shape", (1.0, 2.0, 3.0)),
            _evenly("scale", 0.5, 1.0, 6),
            _evenly("orientation", 0.0, last_angle, 40),
            _evenly("x_position", 0.0, 1.0, 32),
            _evenly("y_position", 0.0, 1.0, 32),
        ),
        image_shape=(64, 64, 1),
        **kwargs,
    )


def _mpi3d(name: str, colours: int, shapes: int, description: str) -> DatasetSpec:
    cardinalities = {
        "object_color": colours,
        "object_shape": shapes,
        "object_size": 2,
        "camera_height": 3,
        "background_color": 3,
        "horizontal_axis": 40,
        "vertical_axis": 40,
    }
    sources = tuple(_classes(source, count) for source, count in cardinalities.items())
    return DatasetSpec(name, sources, description=description)


def _unit_interval(name: str, cardinalities: dict[str, int], description: str) -> DatasetSpec:
    sources = tuple(_evenly(source, 0.0, 1.0, count) for source, count in cardinalities.items())
    return DatasetSpec(name, sources, description=description)


def _make_specs() -> dict[str, DatasetSpec]:
    falcor = {"lighting_intensity": 5}
    falcor |= {f"lighting_{axis}": 6 for axis in ("x", "y", "z")}
    falcor |= {f"camera_{axis}": 6 for axis in ("x", "y", "z")}
    isaac = {
        "object_shape": 3,
        "robot_x": 8,
        "robot_y": 5,
        "camera_height": 4,
        "object_scale": 4,
        "lighting_intensity": 4,
        "lighting_y": 6,
        "object_color": 4,
        "wall_color": 4,
    }
    specs = (
        _shapes3d("shapes3d", description="Rooms with one object (Burgess and Kim, 2018)."),
        _shapes3d(
            "shapes3d_rendered",
            rendered=True,
            description="The grid of Shapes3D, rendered here: nothing to download.",
        ),
        _dsprites(
            "dsprites",
            2 * math.pi,
            binary=True,
            description="White sprites (Matthey et al., 2017).",
        ),
        _dsprites(
            "dsprites_rendered",
            2 * math.pi * 39 / 40,
            rendered=True,
            description="The grid of dSprites, rendered antialiased and without a repeated angle.",
        ),
        _mpi3d("mpi3d_complex", 4, 4, "A robot arm, complex real shapes: the paper's MPI3D."),
        _mpi3d("mpi3d_toy", 6, 6, "A robot arm, simply rendered (Gondal et al., 2019)."),
        _mpi3d("mpi3d_realistic", 6, 6, "A robot arm, realistically rendered."),
        _mpi3d("mpi3d_real", 6, 6, "A robot arm, photographed."),
        _unit_interval("falcor3d", falcor, "A living room under moving light (Nie, 2020)."),
        _unit_interval("isaac3d", isaac, "A kitchen with a robot arm (Nie, 2020)."),
        DatasetSpec(
            "smallnorb",
            (
                _classes("category", 5),
                _classes("instance", 10),
                _evenly("elevation", 30.0, 70.0, 9),
                _evenly("azimuth", 0.0, 340.0, 18),
                _classes("lighting", 6),
            ),
            image_shape=(64, 64, 1),
            description="Toys, both published parts, left camera (LeCun et al., 2004).",
        ),
        DatasetSpec(
            "cars3d",
            (_classes("elevation", 4), _classes("azimuth", 24), _classes("object", 183)),
            description="Turning cars (Reed et al., 2015).",
        ),
    )
    return {spec.name: spec for spec in specs}


SPECS: dict[str, DatasetSpec] = _make_specs()


def get_spec(name: str) -> DatasetSpec:
    """Return the spec of dataset ``name``.

    Raises:
        UserError: no such dataset; the message names the nearest one.
    """
    if name not in SPECS:
        raise make_unknown_name_error("dataset", name, SPECS)
    return SPECS[name]
