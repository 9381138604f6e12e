"""The table of datasets: one row each, with its sources, their values, and where it is published.

None of the links could be tried from where they were written down (November 2026): each was read
in the publisher's or a user's pages. The MD5 sums are those that github.com/nmichlo/disent compares
with, the SHA-256 sums those of TFDS.
"""

from __future__ import annotations

import math

import numpy as np

from data_pipelines.grid import DatasetSpec, Source
from data_pipelines.publication import Publication, PublishedFile
from qlae.common.errors import make_unknown_name_error


def _classes(name: str, cardinality: int) -> Source:
    """A source whose published values are just class numbers."""
    return Source(name, tuple(float(i) for i in range(cardinality)))


def _evenly(name: str, first: float, last: float, cardinality: int) -> Source:
    """A source whose values are evenly spaced, both ends included."""
    return Source(name, tuple(float(v) for v in np.linspace(first, last, cardinality)))


def _shapes3d(name: str, **kwargs) -> DatasetSpec:
    sources = (
        _evenly("floor_hue", 0.0, 0.9, 10),
        _evenly("wall_hue", 0.0, 0.9, 10),
        _evenly("object_hue", 0.0, 0.9, 10),
        _evenly("scale", 0.75, 1.25, 8),
        _classes("shape", 4),
        _evenly("orientation", -30.0, 30.0, 15),
    )
    return DatasetSpec(name, sources, **kwargs)


def _dsprites(name: str, last_angle: float, **kwargs) -> DatasetSpec:
    sources = (
        Source("shape", (1.0, 2.0, 3.0)),
        _evenly("scale", 0.5, 1.0, 6),
        _evenly("orientation", 0.0, last_angle, 40),
        _evenly("x_position", 0.0, 1.0, 32),
        _evenly("y_position", 0.0, 1.0, 32),
    )
    return DatasetSpec(name, sources, image_shape=(64, 64, 1), **kwargs)


def _mpi3d(name: str, colours: int, shapes: int, description: str, **kwargs) -> DatasetSpec:
    sources = (
        _classes("object_color", colours),
        _classes("object_shape", shapes),
        _classes("object_size", 2),
        _classes("camera_height", 3),
        _classes("background_color", 3),
        _classes("horizontal_axis", 40),
        _classes("vertical_axis", 40),
    )
    return DatasetSpec(name, sources, description=description, **kwargs)


def _unit(name: str, cardinality: int) -> Source:
    """A source whose values are evenly spaced from 0 to 1."""
    return _evenly(name, 0.0, 1.0, cardinality)


_MPI3D_HOME = "https://github.com/rr-learning/disentanglement_dataset"
# The first home of these files, storage.googleapis.com/disentanglement_dataset, is closed
# (issues 3 and 4 of the homepage).
_MPI3D_LINK = "https://storage.googleapis.com/mpi3d_disentanglement_dataset/data"


def _mpi3d_published(variant: str, md5: str) -> Publication:
    name = f"mpi3d_{variant}.npz"
    return Publication(
        _MPI3D_HOME,
        (PublishedFile(name, (f"{_MPI3D_LINK}/{name}",), checksum=f"md5:{md5}"),),
        by_hand=f"download {_MPI3D_LINK}/{name} (over 11 GB), or see {_MPI3D_HOME}/issues/4",
        suffixes=(".npz",),
    )


_ARCHIVES = (".zip", ".tar", ".gz", ".tgz")
_NVIDIA_HOME = "https://github.com/NVlabs/High-res-disentanglement-datasets"


def _nvidia_published(folder: str, drive_id: str, size: str) -> Publication:
    # Google Drive asks a question before it hands over a file of this size: no direct link.
    page = f"https://drive.google.com/uc?export=download&id={drive_id}"
    return Publication(
        _NVIDIA_HOME,
        (PublishedFile(f"{folder}.zip"),),
        by_hand=f"open {page} in a browser ({size}, 128x128 pixels)",
        suffixes=_ARCHIVES,
        unpacked=True,
    )


_DSPRITES = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.hdf5"
_DSPRITES_HOME = "https://github.com/google-deepmind/dsprites-dataset"
_CARS = "nips2015-analogy-data.tar.gz"
_NORB = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small"
_NORB_MIRROR = "https://cs.nyu.edu/~yann/data/norb-v1.0-small"
_NORB_PARTS = (
    "smallnorb-5x46789x9x18x6x2x96x96-training",
    "smallnorb-5x01235x9x18x6x2x96x96-testing",
)
_NORB_FILES = (
    ("dat", 131896188, "5ffd6272a07d32695ee1082a26a41a93a37aab8c28da047f8c34ed348d214873"),
    ("cat", 348, "2784e542c1922060691090952b6cd6278879a216c90f81476f0f00256d42cdaa"),
    ("info", 71052, "de7eb932ebe7a4ee16217fead60660d0eb3d23632c2f4d1c51f88c501c17bf32"),
    ("dat", 130799817, "cf7104eed3e51174d2f65b66d1e5878b9da233b886f161b0d88f4510ba2c7474"),
    ("cat", 347, "ecaf6d5bb8c3bc5eab9cf0258f6d2198dd474e016e374836fc097f2e5ff509ff"),
    ("info", 10428, "16adf314226327ee006d1a44db8cfef52773c06c829951d5653a9f6f310248a2"),
)


def _norb_file(number: int) -> PublishedFile:
    kind, size, digest = _NORB_FILES[number]
    name = f"{_NORB_PARTS[number // 3]}-{kind}.mat.gz"
    links = (f"{_NORB}/{name}", f"{_NORB_MIRROR}/{name}")
    return PublishedFile(name, links, size, f"sha256:{digest}")


_ROWS = (
    _shapes3d(
        "shapes3d",
        description="Rooms with one object (Burgess and Kim, 2018).",
        publication=Publication(
            "https://github.com/google-deepmind/3d-shapes",
            (
                PublishedFile(
                    "3dshapes.h5",
                    ("https://storage.googleapis.com/3d-shapes/3dshapes.h5",),
                    267573662,
                    "md5:099a2078d58cec4daad0702c55d06868",
                ),
            ),
            by_hand="open https://console.cloud.google.com/storage/browser/3d-shapes in a browser",
            suffixes=(".h5", ".hdf5"),
        ),
    ),
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
        publication=Publication(
            _DSPRITES_HOME,
            (
                PublishedFile(
                    _DSPRITES,
                    (
                        f"{_DSPRITES_HOME}/raw/master/{_DSPRITES}",
                        f"https://raw.githubusercontent.com/google-deepmind/dsprites-dataset/master/{_DSPRITES}",
                    ),
                    28024106,
                    "sha256:729fa22e884c9c500e1f17415d580746b4c5894fbbb780a1319bbcfa39a745bb",
                ),
            ),
            by_hand=f"git clone {_DSPRITES_HOME}; its .npz will do as well",
            suffixes=(".hdf5", ".h5", ".npz"),
        ),
    ),
    _dsprites(
        "dsprites_rendered",
        2 * math.pi * 39 / 40,
        rendered=True,
        description="The grid of dSprites, rendered antialiased and without a repeated angle.",
    ),
    _mpi3d(
        "mpi3d_complex",
        4,
        4,
        "A robot arm, complex real shapes: the paper's MPI3D.",
        publication=Publication(
            _MPI3D_HOME,
            (PublishedFile("real3d_complicated_shapes_ordered.npz"),),
            by_hand="open https://drive.google.com/file/d/1Tp8eTdHxgUMtsZv5uAoYAbJR1BOa_OQm/view "
            "in a browser",
            suffixes=(".npz",),
        ),
    ),
    _mpi3d(
        "mpi3d_toy",
        6,
        6,
        "A robot arm, simply rendered (Gondal et al., 2019).",
        publication=_mpi3d_published("toy", "55889cb7c7dfc655d6e0277beee88868"),
    ),
    _mpi3d(
        "mpi3d_realistic",
        6,
        6,
        "A robot arm, realistically rendered.",
        publication=_mpi3d_published("realistic", "59a6225b88b635365f70c91b3e52f70f"),
    ),
    _mpi3d(
        "mpi3d_real",
        6,
        6,
        "A robot arm, photographed.",
        publication=_mpi3d_published("real", "0f33f609918fb5c97996692f91129802"),
    ),
    DatasetSpec(
        "falcor3d",
        (
            _unit("lighting_intensity", 5),
            *(_unit(f"lighting_{axis}", 6) for axis in "xyz"),
            *(_unit(f"camera_{axis}", 6) for axis in "xyz"),
        ),
        description="A living room under moving light (Nie, 2020).",
        publication=_nvidia_published(
            "Falcor3D_down128", "1XAQfFK1x6cpN1eiovbP0hVfLTm5SsSoJ", "3.7 GB"
        ),
    ),
    DatasetSpec(
        "isaac3d",
        (
            _unit("object_shape", 3),
            _unit("robot_x", 8),
            _unit("robot_y", 5),
            _unit("camera_height", 4),
            _unit("object_scale", 4),
            _unit("lighting_intensity", 4),
            _unit("lighting_y", 6),
            _unit("object_color", 4),
            _unit("wall_color", 4),
        ),
        description="A kitchen with a robot arm (Nie, 2020).",
        publication=_nvidia_published(
            "Isaac3D_down128", "1OmQ1G2wnm6eTsSFGTKFZZAh5D3nQTW1B", "13 GB"
        ),
    ),
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
        publication=Publication(
            _NORB,
            tuple(_norb_file(number) for number in range(6)),
            by_hand=f"download the six smallnorb-*.mat.gz of {_NORB} into one directory",
        ),
    ),
    DatasetSpec(
        "cars3d",
        (_classes("elevation", 4), _classes("azimuth", 24), _classes("object", 183)),
        description="Turning cars (Reed et al., 2015).",
        publication=Publication(
            "http://www.scottreed.info",
            (
                PublishedFile(
                    _CARS,
                    (
                        f"http://www.scottreed.info/files/{_CARS}",
                        f"http://www-personal.umich.edu/~reedscot/files/{_CARS}",
                    ),
                    checksum="md5:4e866a7919c1beedf53964e6f7a23686",
                ),
            ),
            by_hand=f"download http://www.scottreed.info/files/{_CARS}",
            suffixes=_ARCHIVES,
            unpacked=True,
        ),
    ),
)

SPECS: dict[str, DatasetSpec] = {spec.name: spec for spec in _ROWS}


def get_spec(name: str) -> DatasetSpec:
    """Returns the spec of dataset `name`.

    Raises:
        UserError: no such dataset; the message names the nearest one.
    """
    if name not in SPECS:
        raise make_unknown_name_error("dataset", name, SPECS)
    return SPECS[name]
