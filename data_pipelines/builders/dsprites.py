"""dSprites (Matthey et al., 2017) from its HDF5 or npz file."""

from __future__ import annotations

from pathlib import Path

from data_pipelines.builders.base import GridBuilder
from data_pipelines.downloads import Download
from data_pipelines.formats import checks
from data_pipelines.formats.hdf5 import Hdf5Images
from data_pipelines.formats.npz import NpzImages

_STEM = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64"


class Dsprites(GridBuilder):
    """737,280 white sprites; the published 0 and 1 become 0 and 255."""

    HOMEPAGE = "https://github.com/google-deepmind/dsprites-dataset"
    EXPECTED = f"{_STEM}.hdf5 or .npz"
    DOWNLOADS = (
        Download(
            f"https://github.com/google-deepmind/dsprites-dataset/raw/master/{_STEM}.hdf5",
            f"{_STEM}.hdf5",
            28024106,
            "sha256:729fa22e884c9c500e1f17415d580746b4c5894fbbb780a1319bbcfa39a745bb",
        ),
    )

    def _open(self, source: Path, scratch: Path) -> Hdf5Images | NpzImages:
        suffixes = (".hdf5", ".h5", ".npz")
        names = (f"{_STEM}.hdf5", f"{_STEM}.npz")
        path = checks.find_one(source, names, lambda p: p.suffix in suffixes)
        # The first latent is the colour, which is always white.
        if checks.sniff(self._verify(path, "HDF5", "zip")) == "HDF5":
            return Hdf5Images(self.spec, path, "imgs", "latents/classes", num_constant_labels=1)
        return NpzImages(self.spec, path, "imgs", "latents_classes", num_constant_labels=1)
