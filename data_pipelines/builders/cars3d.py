"""Cars3D (Reed et al., 2015) from nips2015-analogy-data.tar.gz."""

from __future__ import annotations

from pathlib import Path

from data_pipelines.builders.base import GridBuilder
from data_pipelines.downloads import Download
from data_pipelines.formats.cars import CarImages


class Cars3d(GridBuilder):
    """17,568 turning cars, reduced from 128 to 64 pixels."""

    HOMEPAGE = "http://www.scottreed.info"
    EXPECTED = "nips2015-analogy-data.tar.gz"
    DOWNLOADS = (
        Download(
            "http://www.scottreed.info/files/nips2015-analogy-data.tar.gz",
            "nips2015-analogy-data.tar.gz",
        ),
    )

    def _open(self, source: Path, scratch: Path) -> CarImages:
        return CarImages(self.spec, source, scratch)
