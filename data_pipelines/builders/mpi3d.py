"""The four variants of MPI3D (Gondal et al., 2019), each one array without labels."""

from __future__ import annotations

from pathlib import Path

from data_pipelines.builders.base import GridBuilder
from data_pipelines.downloads import Download
from data_pipelines.formats import checks
from data_pipelines.formats.npz import NpzImages

_LINK = "https://storage.googleapis.com/disentanglement_dataset/Final_Dataset"
_HOMEPAGE = "https://github.com/rr-learning/disentanglement_dataset"


class _Mpi3d(GridBuilder):
    HOMEPAGE = _HOMEPAGE

    def _open(self, source: Path, scratch: Path) -> NpzImages:
        path = checks.find_one(source, (self.EXPECTED,), lambda p: p.suffix == ".npz")
        return NpzImages(self.spec, path, "images")


class Mpi3dToy(_Mpi3d):
    """1,036,800 simply rendered images."""

    EXPECTED = "mpi3d_toy.npz"
    DOWNLOADS = (Download(f"{_LINK}/mpi3d_toy.npz", "mpi3d_toy.npz"),)


class Mpi3dRealistic(_Mpi3d):
    """1,036,800 realistically rendered images."""

    EXPECTED = "mpi3d_realistic.npz"
    DOWNLOADS = (Download(f"{_LINK}/mpi3d_realistic.npz", "mpi3d_realistic.npz"),)


class Mpi3dReal(_Mpi3d):
    """1,036,800 photographs of simple shapes."""

    EXPECTED = "mpi3d_real.npz"
    DOWNLOADS = (Download(f"{_LINK}/mpi3d_real.npz", "mpi3d_real.npz"),)


class Mpi3dComplex(_Mpi3d):
    """460,800 photographs of complex shapes: the MPI3D of the paper."""

    EXPECTED = "real3d_complicated_shapes_ordered.npz"
