"""Shapes3D (Burgess and Kim, 2018) from 3dshapes.h5."""

from __future__ import annotations

from pathlib import Path

from data_pipelines.builders.base import GridBuilder
from data_pipelines.downloads import Download
from data_pipelines.formats import checks
from data_pipelines.formats.hdf5 import Hdf5Images


class Shapes3d(GridBuilder):
    """480,000 rooms with one object."""

    HOMEPAGE = "https://github.com/google-deepmind/3d-shapes"
    EXPECTED = "3dshapes.h5"
    DOWNLOADS = (
        Download(
            "https://storage.googleapis.com/3d-shapes/3dshapes.h5",
            "3dshapes.h5",
            267573662,
            "md5:099a2078d58cec4daad0702c55d06868",
        ),
    )

    def _open(self, source: Path, scratch: Path) -> Hdf5Images:
        path = checks.find_one(source, ("3dshapes.h5",), lambda p: p.suffix in (".h5", ".hdf5"))
        return Hdf5Images(self.spec, self._verify(path, "HDF5"), "images", "labels")
