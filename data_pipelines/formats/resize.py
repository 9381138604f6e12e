"""Bring published images to the size at which the paper uses them."""

from __future__ import annotations

import numpy as np
from PIL import Image


def resize(image: Image.Image, size: int) -> np.ndarray:
    """Returns the uint8 pixels of `image` at `size`, antialiased bicubic, clipped."""
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)
