"""The rendered Shapes3D: equal on host and device, and every source visible in the picture."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import rendering, room_scene
from data_pipelines.datasets import make_dataset
from data_pipelines.specs import get_spec
from qlae.common.errors import UserError

SPEC = get_spec("shapes3d_rendered")


def some_indices(count, seed=0):
    return np.random.default_rng(seed).integers(0, SPEC.num_images, count)


@pytest.mark.heavy
@pytest.mark.parametrize("image_size", [16, 33, 64, 80])
def test_host_generic_and_jitted_images_are_equal_to_the_bit(image_size):
    dataset = make_dataset("shapes3d_rendered", image_size=image_size)
    indices = some_indices(100)
    host = dataset.images(indices)
    assert host.dtype == np.uint8
    assert host.shape == (100, image_size, image_size, 3) == (100, *dataset.spec.image_shape)
    generic = rendering.render(dataset.spec, dataset.tables, SPEC.sources_at(indices), np)
    np.testing.assert_array_equal(host, generic)
    device = jax.jit(dataset.render)(jnp.asarray(indices))
    assert device.dtype == jnp.uint8
    np.testing.assert_array_equal(host, device)
    np.testing.assert_array_equal(host, dataset.render(jnp.asarray(indices), dataset.tables))


def test_tables_are_the_same_on_every_machine():
    tables = make_dataset("shapes3d_rendered", image_size=16).tables
    assert tables.shape == (480, 4, 16, 16)
    assert hashlib.sha256(tables.tobytes()).hexdigest()[:16] == "b3bb802c8c9a5f06"


def test_maps_never_overflow_and_objects_stay_inside_their_window():
    tables = make_dataset("shapes3d_rendered", image_size=64).tables
    assert tables.astype(int).sum(axis=1).max() <= 255
    rows, columns = room_scene._object_window(64)
    outside = tables[:, room_scene.OBJECT].copy()
    outside[:, rows.start + 1 : rows.stop - 1, columns.start + 1 : columns.stop - 1] = 0
    assert not outside.any()


@pytest.mark.parametrize("image_size", [16, 64])
def test_every_step_of_every_source_changes_the_picture(image_size):
    dataset = make_dataset("shapes3d_rendered", image_size=image_size)
    base = SPEC.sources_at(some_indices(12, seed=1))
    for axis, cardinality in enumerate(SPEC.cardinalities):
        sources = np.repeat(base[:, None], cardinality, axis=1)
        sources[:, :, axis] = np.arange(cardinality)
        images = dataset.images(SPEC.indices_of(sources.reshape(-1, 6)))
        images = images.reshape(12, cardinality, -1).astype(int)
        step = np.abs(np.diff(images, axis=1)).max(axis=2)
        assert step.min() >= 12, SPEC.source_names[axis]


def test_hues_tint_only_their_own_surface():
    dataset = make_dataset("shapes3d_rendered")
    base = np.array([3, 6, 0, 4, 1, 7])
    lights = dataset.tables[(4 * 4 + 1) * 15 + 7]
    for axis, layer in enumerate((room_scene.FLOOR, room_scene.WALL, room_scene.OBJECT)):
        other = base.copy()
        other[axis] = 4
        pair = dataset.images(SPEC.indices_of(np.stack([base, other]))).astype(int)
        changed = np.abs(pair[0] - pair[1]).max(axis=-1) > 0
        assert changed.any()
        assert not (changed & (lights[layer] == 0)).any()


def test_orientation_moves_the_room_behind_a_round_object():
    tables = make_dataset("shapes3d_rendered", image_size=16).tables.reshape(8, 4, 15, 4, -1)
    walls = tables[0, 2, :, room_scene.WALL].astype(int)
    apart = np.abs(walls[:, None] - walls[None]).sum(-1) + 10**6 * np.eye(15, dtype=int)
    assert apart.min() > 200


def test_unsupported_size_and_unknown_name_are_one_line():
    with pytest.raises(UserError, match="8 to 256"):
        make_dataset("shapes3d_rendered", image_size=4)
    with pytest.raises(UserError, match="did you mean 'shapes3d_rendered'"):
        make_dataset("shapes3d_renderd")
