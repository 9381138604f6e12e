"""Draw the 720 sprites of the dSprites grid once; a position only moves them.

As in the original, a square looks the same after a quarter turn and an ellipse after half of one.
Positions are a 64th of the picture apart, so a picture smaller than 64 pixels needs its sprites
at several fractions of a pixel: `num_phases` in each direction. The arithmetic is exact in the
sense of `room_scene`: every host builds the same tables.
"""

from __future__ import annotations

import math

import numpy as np

from qlae.common.errors import UserError

_STEPS = 64  # positions would divide the whole picture into this many steps
_LARGEST_PHASES = 4


def num_phases(image_size: int) -> int:
    """Returns at how many fractions of a pixel a sprite may lie.

    Raises:
        UserError: the size needs more fractions than is worth the memory.
    """
    phases = _STEPS // math.gcd(_STEPS, image_size)
    if phases > _LARGEST_PHASES:
        raise UserError(
            f"image_size {image_size} does not suit dsprites_rendered: choose a multiple of 16"
        )
    return phases


def make_sprite_tables(
    image_size: int, num_shapes: int, scales: tuple[float, ...], orientations: tuple[float, ...]
) -> np.ndarray:
    """Returns the uint8 (G, w, w) coverage of every sprite, with an empty rim of one pixel.

    G runs over (shape, scale, orientation, vertical phase, horizontal phase), the last fastest.
    """
    phases, width = num_phases(image_size), image_size // 2 + 3
    supersampling = max(4, 96 // image_size)
    pixel = _STEPS / image_size
    count = width * supersampling
    samples = ((2.0 * np.arange(count) + 1.0) / (2.0 * supersampling) - 1.0) * pixel - 16.5
    shape = (num_shapes, len(scales), len(orientations), phases, phases, width, width)
    tables = np.zeros(shape, np.uint8)
    for o, angle in enumerate(orientations):
        # Rounded, so that a last-bit difference between math libraries cannot show.
        cos, sin = round(math.cos(angle), 9), round(math.sin(angle), 9)
        for py in range(phases):
            for px in range(phases):
                x = (samples - px * pixel / phases)[None, :]
                y = (samples - py * pixel / phases)[:, None]
                u, v = x * cos + y * sin, y * cos - x * sin
                for f, inside in enumerate(_SHAPES[:num_shapes]):
                    for s, scale in enumerate(scales):
                        tables[f, s, o, py, px] = _pool(inside(u / scale, v / scale), supersampling)
    return tables.reshape(-1, width, width)


def _pool(inside: np.ndarray, supersampling: int) -> np.ndarray:
    """Returns the uint8 share of each pixel's samples that lie inside."""
    pixels = len(inside) // supersampling
    counts = inside.reshape(pixels, supersampling, pixels, supersampling).sum(axis=(1, 3))
    return (counts * 255 // supersampling**2).astype(np.uint8)


def _in_square(u, v):
    return np.maximum(np.abs(u), np.abs(v)) <= 10.0


def _in_ellipse(u, v):
    return u * u / (14.5 * 14.5) + v * v / (7.5 * 7.5) <= 1.0


def _in_heart(u, v):
    """The sextic heart, its tip at positive v."""
    x, y = u / 11.5, 0.12 - v / 11.5
    bulk = x * x + y * y - 1.0
    return bulk * bulk * bulk <= x * x * y * y * y


_SHAPES = (_in_square, _in_ellipse, _in_heart)
