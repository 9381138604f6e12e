"""The rendered datasets as files, for readers that expect a prepared TFDS dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_pipelines.builders.base import GridBuilder
from data_pipelines.formats.checks import ImageFile
from data_pipelines.procedural import make_host_renderer
from data_pipelines.specs import DatasetSpec


class _RenderedImages:
    def __init__(self, spec: DatasetSpec):
        self._spec, self._render = spec, make_host_renderer(spec)

    def read(self, start: int, stop: int) -> np.ndarray:
        images = self._spec.empty_images(stop - start)
        self._render(self._spec.sources_at(np.arange(start, stop)), images)
        return images

    def close(self) -> None:
        pass


class _Rendered(GridBuilder):
    def _open(self, source: Path, scratch: Path) -> ImageFile:
        return _RenderedImages(self.spec)

    def _find_source(self, manual_dir) -> Path:
        return Path(__file__)


class Shapes3dRendered(_Rendered):
    """480,000 rendered rooms."""


class DspritesRendered(_Rendered):
    """737,280 rendered sprites."""
