"""Falcor3D (Nie, 2020) from its archive, or the directory unpacked from it."""

from __future__ import annotations

from pathlib import Path

from data_pipelines.builders.base import GridBuilder
from data_pipelines.formats import checks
from data_pipelines.formats.png_archive import PngArchive


class Falcor3d(GridBuilder):
    """233,280 renderings of a living room, reduced from 128 to 64 pixels."""

    HOMEPAGE = "https://github.com/NVlabs/High-res-disentanglement-datasets"
    EXPECTED = "the archive with Falcor3D_down128"

    def _open(self, source: Path, scratch: Path) -> PngArchive:
        path = checks.find_archive(source, "train-rec.labels")
        return PngArchive(self.spec, path, "train-rec.labels", scratch)
