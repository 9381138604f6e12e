"""The rendered datasets, read like a published file."""

from __future__ import annotations

import numpy as np

from data_pipelines.grid import DatasetSpec
from data_pipelines.rendering import make_host_renderer


class RenderedImages:
    """Images computed from their sources, by grid position."""

    def __init__(self, spec: DatasetSpec):
        self._spec, self._render = spec, make_host_renderer(spec)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Returns the uint8 (stop - start, H, W, C) images at grid positions start to stop."""
        images = self._spec.empty_images(stop - start)
        self._render(self._spec.sources_at(np.arange(start, stop)), images)
        return images

    def close(self) -> None:
        """Nothing is open."""
