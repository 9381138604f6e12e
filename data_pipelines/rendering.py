"""Rendered datasets: any image of a grid from its sources, on the host or inside a jitted step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType

import numpy as np

from data_pipelines.grid import DatasetSpec
from data_pipelines.room_scene import FLOOR, HIGHLIGHT, OBJECT, WALL, make_room_tables
from data_pipelines.sprite_scene import make_sprite_tables, num_phases

# Hues 0, 0.1, ..., 0.9 at full saturation and value, in 256ths.
PALETTE_10x3 = np.array(
    [
        (256, 0, 0),
        (256, 154, 0),
        (205, 256, 0),
        (51, 256, 0),
        (0, 256, 102),
        (0, 256, 256),
        (0, 102, 256),
        (51, 0, 256),
        (205, 0, 256),
        (256, 0, 154),
    ],
    dtype=np.int32,
)
_CHUNK = 32  # images composed at a time: few enough to stay in a core's cache
_LARGEST_TINTED = 64  # pixels; above it the tinted tables would take too much memory


@functools.lru_cache(maxsize=4)
def load_tables(spec: DatasetSpec) -> np.ndarray:
    """Returns the read-only uint8 tables of a rendered dataset, built once in a process."""
    tables = _make_tables(spec)
    tables.flags.writeable = False
    return tables


def _make_tables(spec: DatasetSpec) -> np.ndarray:
    size, values = spec.image_shape[0], {s.name: s.values for s in spec.sources}
    if spec.name == "dsprites_rendered":
        return make_sprite_tables(
            size, len(values["shape"]), values["scale"], values["orientation"]
        )
    return make_room_tables(size, values["scale"], len(values["shape"]), values["orientation"])


def render(spec: DatasetSpec, tables, sources_NxS, xp: ModuleType = np):
    """Returns the uint8 (N, H, W, C) images of `sources_NxS`, equal to the bit for any `xp`.

    Args:
        spec: a rendered dataset.
        tables: what `load_tables(spec)` returned, on the host or a device.
        sources_NxS: integer classes of the sources in file order.
        xp: numpy or jax.numpy; with the latter it runs inside jit.
    """
    if spec.name == "dsprites_rendered":
        return render_sprites(tables, sources_NxS, spec.image_shape[0], xp)
    return render_rooms(tables, sources_NxS, xp)


def make_host_renderer(spec: DatasetSpec) -> Callable[[np.ndarray, np.ndarray], None]:
    """Returns the fastest way to `render` on the host.

    The returned function takes int (N, S) sources and the uint8 (N, H, W, C) array to fill.
    """
    tables = load_tables(spec)
    if spec.name == "dsprites_rendered":
        return functools.partial(_paste_sprites, tables, spec.image_shape[0])
    return HostRoomRenderer(tables)


def render_rooms(tables_GxKxHxW, sources_NxS, xp: ModuleType = np):
    """Returns the uint8 (N, H, W, 3) images of `sources_NxS`, equal to the bit for any `xp`.

    Args:
        tables_GxKxHxW: what `make_room_tables` returned.
        sources_NxS: integer classes: floor, wall and object hue, scale, shape, orientation.
        xp: numpy or jax.numpy.
    """
    hues, geometry_N = sources_NxS[..., :3], _geometry_at(sources_NxS)
    maps = xp.take(tables_GxKxHxW, geometry_N, axis=0)
    palette = xp.asarray(PALETTE_10x3)
    image = maps[:, HIGHLIGHT, :, :, None].astype(xp.int32)
    for source, layer in enumerate((FLOOR, WALL, OBJECT)):
        tint = xp.take(palette, hues[..., source], axis=0)[:, None, None, :]
        image = image + ((maps[:, layer, :, :, None].astype(xp.int32) * tint) >> 8)
    return image.astype(xp.uint8)


def _geometry_at(sources_NxS):
    """Returns the (N,) row in the tables: scale, shape, orientation, the last fastest."""
    return (sources_NxS[..., 3] * 4 + sources_NxS[..., 4]) * 15 + sources_NxS[..., 5]


class HostRoomRenderer:
    """Renders rooms on the host by adding three layers that already carry each hue.

    The same images as `render_rooms`, some thirty times faster, for fourteen times the memory
    of its tables (112 MB at 64 pixels).
    """

    def __init__(self, tables_GxKxHxW: np.ndarray):
        self._tables = tables_GxKxHxW
        self._layers: list[_TintedLayer] | None = None
        if tables_GxKxHxW.shape[-1] <= _LARGEST_TINTED:
            shine = tables_GxKxHxW[:, HIGHLIGHT]
            self._layers = [
                _TintedLayer(tables_GxKxHxW[:, FLOOR]),
                _TintedLayer(tables_GxKxHxW[:, WALL]),
                _TintedLayer(tables_GxKxHxW[:, OBJECT], shine),
            ]

    def __call__(self, sources_NxS: np.ndarray, images_NxHxWxC: np.ndarray) -> None:
        """Fills uint8 `images_NxHxWxC` with the images of integer classes `sources_NxS`."""
        if self._layers is None:
            images_NxHxWxC[:] = render_rooms(self._tables, sources_NxS)
            return
        geometry_N = _geometry_at(sources_NxS)
        images_NxP = images_NxHxWxC.reshape(len(geometry_N), -1)
        scratch = np.empty(_CHUNK * images_NxP.shape[1], np.uint8)
        for start in range(0, len(geometry_N), _CHUNK):
            part = slice(start, start + _CHUNK)
            geometry, hues, images = geometry_N[part], sources_NxS[part], images_NxP[part]
            floor, wall, thing = self._layers
            floor.put(images, geometry, hues[:, FLOOR], scratch)
            wall.add(images, geometry, hues[:, WALL], scratch)
            thing.add(images, geometry, hues[:, OBJECT], scratch)


class _TintedLayer:
    """The light of one surface in each hue, of the rows that it can reach."""

    def __init__(self, light_GxHxW: np.ndarray, shine_GxHxW: np.ndarray | None = None):
        rows = np.flatnonzero(light_GxHxW.any(axis=(0, 2)))
        width = light_GxHxW.shape[2] * 3
        self._pixels = slice(int(rows[0]) * width, int(rows[-1] + 1) * width)
        inside = np.s_[:, rows[0] : rows[-1] + 1]
        light = light_GxHxW[inside].astype(np.uint16)
        tinted = np.empty((len(light), len(PALETTE_10x3), *light.shape[1:], 3), np.uint8)
        for hue, colour in enumerate(PALETTE_10x3):
            for channel in range(3):
                tinted[:, hue, ..., channel] = (light * np.uint16(colour[channel])) >> 8
        if shine_GxHxW is not None:
            tinted += shine_GxHxW[inside][:, None, ..., None]
        self._rows = tinted.reshape(len(light) * len(PALETTE_10x3), -1)

    def put(self, images_NxP, geometry_N, hue_N, scratch: np.ndarray) -> None:
        """Makes flat images of this layer alone."""
        images_NxP[:, : self._pixels.start] = 0
        images_NxP[:, self._pixels] = self._gather(geometry_N, hue_N, scratch)
        images_NxP[:, self._pixels.stop :] = 0

    def add(self, images_NxP, geometry_N, hue_N, scratch: np.ndarray) -> None:
        """Adds this layer to flat images."""
        window = images_NxP[:, self._pixels]
        np.add(window, self._gather(geometry_N, hue_N, scratch), out=window)

    def _gather(self, geometry_N, hue_N, scratch: np.ndarray) -> np.ndarray:
        rows = geometry_N * len(PALETTE_10x3) + hue_N
        gathered = scratch[: len(rows) * self._rows.shape[1]].reshape(len(rows), -1)
        # With mode "clip" numpy writes straight into `out`.
        return np.take(self._rows, rows, axis=0, out=gathered, mode="clip")


def render_sprites(tables_GxPxP, sources_NxS, image_size: int, xp: ModuleType = np):
    """Returns the uint8 (N, H, W, 1) sprites of `sources_NxS`, equal to the bit for any `xp`.

    Args:
        tables_GxPxP: what `make_sprite_tables` returned.
        sources_NxS: integer classes: shape, scale, orientation, x and y position.
        image_size: height and width in pixels.
        xp: numpy or jax.numpy.
    """
    row_N, left_N, top_N = _placement(sources_NxS, image_size)
    last = tables_GxPxP.shape[-1] - 1
    # Pixels beyond a sprite's window read its empty rim.
    pixels = xp.arange(image_size)[None, :] + 1
    y_NxH = xp.clip(pixels - top_N[:, None], 0, last)
    x_NxW = xp.clip(pixels - left_N[:, None], 0, last)
    images = tables_GxPxP[row_N[:, None, None], y_NxH[:, :, None], x_NxW[:, None, :]]
    return images[..., None]


def _placement(sources_NxS, image_size: int):
    """Returns (N,) rows in the tables and the left and top pixel of each sprite's window."""
    shape, scale, orientation, x, y = (sources_NxS[..., i] for i in range(5))
    phases = num_phases(image_size)
    # Position k lies k * image_size / 64 pixels into the picture.
    left, top = x * image_size // 64, y * image_size // 64
    phase_x, phase_y = x * image_size % 64 * phases // 64, y * image_size % 64 * phases // 64
    row = ((shape * 6 + scale) * 40 + orientation) * phases * phases + phase_y * phases + phase_x
    return row, left, top


def _paste_sprites(
    tables_GxPxP, image_size: int, sources_NxS: np.ndarray, images_NxHxWxC: np.ndarray
) -> None:
    """Does what `render_sprites` does by copying each sprite's window into a black picture."""
    inner = tables_GxPxP[:, 1:-1, 1:-1]
    width = inner.shape[-1]
    images_NxHxWxC[:] = 0
    placement = (column.tolist() for column in _placement(sources_NxS, image_size))
    for i, (row, left, top) in enumerate(zip(*placement, strict=True)):
        images_NxHxWxC[i, top : top + width, left : left + width, 0] = inner[row]
