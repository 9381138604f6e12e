"""smallNORB (LeCun et al., 2004) from its six matrix files, both parts together."""

from __future__ import annotations

from pathlib import Path

from data_pipelines.builders.base import GridBuilder
from data_pipelines.downloads import Download
from data_pipelines.formats.norb import PARTS, NorbImages
from qlae.common.errors import UserError

_LINK = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small"
_FILES = (
    ("dat", 131896188, "5ffd6272a07d32695ee1082a26a41a93a37aab8c28da047f8c34ed348d214873"),
    ("cat", 348, "2784e542c1922060691090952b6cd6278879a216c90f81476f0f00256d42cdaa"),
    ("info", 71052, "de7eb932ebe7a4ee16217fead60660d0eb3d23632c2f4d1c51f88c501c17bf32"),
    ("dat", 130799817, "cf7104eed3e51174d2f65b66d1e5878b9da233b886f161b0d88f4510ba2c7474"),
    ("cat", 347, "ecaf6d5bb8c3bc5eab9cf0258f6d2198dd474e016e374836fc097f2e5ff509ff"),
    ("info", 10428, "16adf314226327ee006d1a44db8cfef52773c06c829951d5653a9f6f310248a2"),
)


class Smallnorb(GridBuilder):
    """48,600 photographs of toys by the left camera, reduced from 96 to 64 pixels."""

    HOMEPAGE = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small"
    EXPECTED = "the six smallnorb-*.mat.gz files"
    DOWNLOADS = tuple(
        Download(
            f"{_LINK}/{PARTS[i // 3]}-{kind}.mat.gz",
            f"{PARTS[i // 3]}-{kind}.mat.gz",
            size,
            f"sha256:{digest}",
        )
        for i, (kind, size, digest) in enumerate(_FILES)
    )

    def _open(self, source: Path, scratch: Path) -> NorbImages:
        if not source.is_dir():
            raise UserError(f"{source} is a file: name the directory with {self.EXPECTED}")
        for download in self.DOWNLOADS:
            if (source / download.filename).exists():
                self._verify(source / download.filename, "gzip")
        return NorbImages(self.spec, source)
