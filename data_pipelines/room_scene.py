"""Ray-trace the 480 geometries of the Shapes3D scene into coverage maps that a hue only tints.

The scene: a camera circles an object that stands in a room, so orientation moves the room's
corners and horizon as well as the object. Only arithmetic that IEEE 754 rounds exactly is used
(no exp, pow or BLAS), and samples are summed as integers, so that every host builds the same
tables bit for bit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

FLOOR, WALL, OBJECT, HIGHLIGHT = range(4)
NUM_MAPS = 4

_BACK_WALL, _SIDE_WALL = 4.0, 3.7  # distances from the room's centre
_CAMERA_DISTANCE, _CAMERA_HEIGHT, _LOOK_AT_HEIGHT, _HALF_VIEW = 6.8, 3.2, 0.95, 0.42
_LIGHT = (-0.42, -0.34, 0.84)  # from upper left, in front
_AMBIENT, _SPECULAR = 0.50, 0.42
_FAR = 1e9


class _Rays(NamedTuple):
    """One ray a sample: the camera's position and each direction's components."""

    origin: tuple[float, float, float]
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray


class _Hit(NamedTuple):
    """Where rays meet a surface: distance along the ray (far when missed) and unit normal."""

    distance: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray


def make_room_tables(
    image_size: int, scales: tuple[float, ...], num_shapes: int, orientations: tuple[float, ...]
) -> np.ndarray:
    """Returns the uint8 (G, 4, H, W) coverage maps of every geometry.

    G runs over (scale, shape, orientation), the last fastest. The maps are the light that floor,
    wall and object return in their own hue, and the white highlight; they sum to at most 255.
    """
    supersampling = max(2, -(-128 // image_size))
    size = image_size * supersampling
    tables = np.zeros(
        (len(scales), num_shapes, len(orientations), NUM_MAPS, image_size, image_size), np.uint8
    )
    for o, degrees in enumerate(orientations):
        rays = _make_rays(size, degrees)
        floor_x, floor_y, floor, wall = _shade_room(rays)
        for s, scale in enumerate(scales):
            for shape in range(num_shapes):
                maps = _shade_geometry(rays, floor_x, floor_y, floor, wall, scale, shape)
                tables[s, shape, o] = _pool(maps, supersampling)
    return tables.reshape(-1, NUM_MAPS, image_size, image_size)


def _make_rays(size: int, degrees: float) -> _Rays:
    """Aims one ray through each sample from a camera turned `degrees` around the object."""
    # Rounded, so that a last-bit difference between math libraries cannot show.
    sin = round(math.sin(math.radians(degrees)), 9)
    cos = round(math.cos(math.radians(degrees)), 9)
    drop = _CAMERA_HEIGHT - _LOOK_AT_HEIGHT
    length = math.sqrt(_CAMERA_DISTANCE**2 + drop**2)
    ahead, down = _CAMERA_DISTANCE / length, drop / length
    steps = (2.0 * np.arange(size) + 1.0) / size - 1.0
    across = _HALF_VIEW * steps[None, :]
    up = -_HALF_VIEW * steps[:, None]
    forward = ahead + up * down  # horizontal part of the direction, toward the object
    x = -forward * sin + across * cos
    y = forward * cos + across * sin
    z = np.broadcast_to(up * ahead - down, x.shape)
    inverse = 1.0 / np.sqrt(x * x + y * y + z * z)
    origin = (_CAMERA_DISTANCE * sin, -_CAMERA_DISTANCE * cos, _CAMERA_HEIGHT)
    return _Rays(origin, x * inverse, y * inverse, z * inverse)


def _distance_to_plane(start: float, direction: np.ndarray, plane: float) -> np.ndarray:
    """Distance along the rays to an axis-aligned plane; far when it lies behind."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (plane - start) / direction
    return np.where(distance > 1e-9, distance, _FAR)


def _shade_room(rays: _Rays) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns floor coordinates x, y and the light of floor and wall, in [0, 1], without object."""
    ox, oy, oz = rays.origin
    to_floor = _distance_to_plane(oz, rays.z, 0.0)
    to_back = _distance_to_plane(oy, rays.y, _BACK_WALL)
    to_left = _distance_to_plane(ox, rays.x, -_SIDE_WALL)
    to_right = _distance_to_plane(ox, rays.x, _SIDE_WALL)
    to_wall = np.minimum(to_back, np.minimum(to_left, to_right))
    on_floor = to_floor < to_wall

    floor_x, floor_y = ox + to_floor * rays.x, oy + to_floor * rays.y
    corner = np.minimum(_SIDE_WALL - np.abs(floor_x), _BACK_WALL - floor_y)
    floor = np.where(on_floor, 0.92 - 0.30 * _falloff(corner, 1.6), 0.0)

    x, y, z = (o + to_wall * d for o, d in zip(rays.origin, (rays.x, rays.y, rays.z), strict=True))
    facing = np.where(to_wall == to_back, 0.86, np.where(to_wall == to_left, 0.66, 0.97))
    along = np.where(to_wall == to_back, _SIDE_WALL - np.abs(x), _BACK_WALL - y)
    dimmed = facing - 0.22 * _falloff(z, 1.2) - 0.14 * _falloff(along, 1.3)
    wall = np.where(on_floor, 0.0, dimmed)
    return floor_x, floor_y, floor, wall


def _falloff(distance: np.ndarray, reach: float) -> np.ndarray:
    """1 at distance zero, smoothly 0 from `reach` on."""
    nearness = np.clip(1.0 - distance / reach, 0.0, 1.0)
    return nearness * nearness


def _shade_geometry(rays, floor_x, floor_y, floor, wall, scale: float, shape: int) -> np.ndarray:
    """Returns the (4, size, size) maps in [0, 1] of one object in the room."""
    rows, columns = _object_window(rays.x.shape[0])
    window = np.s_[rows, columns]
    cut = _Rays(rays.origin, rays.x[window], rays.y[window], rays.z[window])
    hit = _SHAPES[shape](cut, scale)
    covered = hit.distance < _FAR

    diffuse = np.maximum(0.0, hit.x * _LIGHT[0] + hit.y * _LIGHT[1] + hit.z * _LIGHT[2])
    light = _AMBIENT + (1.0 - _AMBIENT) * diffuse
    half = [light_i - d for light_i, d in zip(_LIGHT, (cut.x, cut.y, cut.z), strict=True)]
    norm = np.sqrt(half[0] * half[0] + half[1] * half[1] + half[2] * half[2])
    shine = np.maximum(0.0, (hit.x * half[0] + hit.y * half[1] + hit.z * half[2]) / norm)
    for _ in range(5):  # to the 32nd power
        shine = shine * shine
    shine = _SPECULAR * shine

    maps = np.zeros((NUM_MAPS, *rays.x.shape))
    maps[FLOOR], maps[WALL] = floor * _shadow(floor_x, floor_y, scale, shape), wall
    maps[FLOOR][window] = np.where(covered, 0.0, maps[FLOOR][window])
    maps[WALL][window] = np.where(covered, 0.0, maps[WALL][window])
    maps[OBJECT][window] = np.where(covered, light * (1.0 - shine), 0.0)
    maps[HIGHLIGHT][window] = np.where(covered, shine, 0.0)
    return maps


def _object_window(size: int) -> tuple[slice, slice]:
    """The part of the picture that the largest object can reach, as rows and columns."""
    return slice(int(0.06 * size), int(0.88 * size)), slice(int(0.12 * size), int(0.88 * size))


def _shadow(floor_x, floor_y, scale: float, shape: int) -> np.ndarray:
    """Light left on the floor beside the object: a soft pool away from the light."""
    reach = scale * _SHADOW_REACH[shape]
    dx, dy = floor_x - 0.38 * reach, floor_y - 0.44 * reach
    inside = np.clip(1.0 - (dx * dx + dy * dy) / (reach * reach), 0.0, 1.0)
    return 1.0 - 0.62 * inside


def _pool(maps: np.ndarray, supersampling: int) -> np.ndarray:
    """Averages square groups of samples into uint8, exactly and in any order of summation."""
    k, size, _ = maps.shape
    pixels = size // supersampling
    samples = np.floor(maps * 4096.0).astype(np.int64)
    grouped = samples.reshape(k, pixels, supersampling, pixels, supersampling)
    return (grouped.sum(axis=(2, 4)) * 255 // (4096 * supersampling**2)).astype(np.uint8)


def _nearest(hits: list[_Hit]) -> _Hit:
    """Of several surfaces keeps, for each ray, the one met first."""
    best = hits[0]
    for hit in hits[1:]:
        closer = hit.distance < best.distance
        best = _Hit(*(np.where(closer, a, b) for a, b in zip(hit, best, strict=True)))
    return best


def _hit_cube(rays: _Rays, scale: float) -> _Hit:
    """A cube that stands on the floor."""
    half = 1.0 * scale
    low, high = (-half, -half, 0.0), (half, half, 2.0 * half)
    enters, leaves = [], []
    for start, direction, a, b in zip(rays.origin, rays[1:], low, high, strict=True):
        safe = np.where(direction == 0.0, 1e-12, direction)
        first, second = (a - start) / safe, (b - start) / safe
        enters.append(np.minimum(first, second))
        leaves.append(np.maximum(first, second))
    enter = np.maximum(enters[0], np.maximum(enters[1], enters[2]))
    leave = np.minimum(leaves[0], np.minimum(leaves[1], leaves[2]))
    normal = [
        np.where(enter == entered, np.where(direction > 0, -1.0, 1.0), 0.0)
        for entered, direction in zip(enters, rays[1:], strict=True)
    ]
    return _Hit(np.where(enter < leave, enter, _FAR), *normal)


def _hit_ball(rays: _Rays, radius: float, height: float) -> _Hit:
    """A ball whose centre is `height` above the floor's centre."""
    ox, oy, oz = rays.origin[0], rays.origin[1], rays.origin[2] - height
    b = ox * rays.x + oy * rays.y + oz * rays.z
    root = b * b - (ox * ox + oy * oy + oz * oz - radius * radius)
    distance = np.where(root > 0.0, -b - np.sqrt(np.maximum(root, 0.0)), _FAR)
    normal = [(o + distance * d) / radius for o, d in zip((ox, oy, oz), rays[1:], strict=True)]
    return _Hit(distance, *normal)


def _hit_tube(rays: _Rays, radius: float, low: float, high: float) -> _Hit:
    """The round side of an upright cylinder between two heights."""
    ox, oy, oz = rays.origin
    a = rays.x * rays.x + rays.y * rays.y
    b = ox * rays.x + oy * rays.y
    root = b * b - a * (ox * ox + oy * oy - radius * radius)
    distance = np.where(root > 0.0, (-b - np.sqrt(np.maximum(root, 0.0))) / a, _FAR)
    z = oz + distance * rays.z
    distance = np.where((z >= low) & (z <= high), distance, _FAR)
    x, y = (ox + distance * rays.x) / radius, (oy + distance * rays.y) / radius
    return _Hit(distance, x, y, np.zeros_like(x))


def _hit_lid(rays: _Rays, radius: float, height: float) -> _Hit:
    """The flat top of an upright cylinder."""
    ox, oy, oz = rays.origin
    distance = _distance_to_plane(oz, rays.z, height)
    x, y = ox + distance * rays.x, oy + distance * rays.y
    distance = np.where(x * x + y * y <= radius * radius, distance, _FAR)
    zero = np.zeros_like(x)
    return _Hit(distance, zero, zero, zero + 1.0)


def _hit_cylinder(rays: _Rays, scale: float) -> _Hit:
    radius, height = 1.02 * scale, 2.05 * scale
    return _nearest([_hit_tube(rays, radius, 0.0, height), _hit_lid(rays, radius, height)])


def _hit_sphere(rays: _Rays, scale: float) -> _Hit:
    return _hit_ball(rays, 1.16 * scale, 1.16 * scale)


def _hit_capsule(rays: _Rays, scale: float) -> _Hit:
    radius, height = 0.8 * scale, 2.75 * scale
    low, high = radius, height - radius
    balls = [_hit_ball(rays, radius, low), _hit_ball(rays, radius, high)]
    return _nearest([_hit_tube(rays, radius, low, high), *balls])


_SHAPES = (_hit_cube, _hit_cylinder, _hit_sphere, _hit_capsule)
_SHADOW_REACH = (1.85, 1.65, 1.55, 1.4)
