"""The rendered dSprites: equal on host and device, antialiased, moved without being changed."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import rendering
from data_pipelines.datasets import make_dataset
from data_pipelines.specs import get_spec
from qlae.common.errors import UserError

SPEC = get_spec("dsprites_rendered")


@pytest.mark.parametrize("image_size", [16, 32, 64, 128])
def test_host_generic_and_jitted_images_are_equal_to_the_bit(image_size):
    dataset = make_dataset("dsprites_rendered", image_size=image_size)
    indices = np.random.default_rng(0).integers(0, SPEC.num_images, 200)
    host = dataset.images(indices)
    assert host.dtype == np.uint8
    assert host.shape == (200, image_size, image_size, 1) == (200, *dataset.spec.image_shape)
    generic = rendering.render(dataset.spec, dataset.tables, SPEC.sources_at(indices), np)
    np.testing.assert_array_equal(host, generic)
    np.testing.assert_array_equal(host, jax.jit(dataset.render)(jnp.asarray(indices)))
    levels = np.unique(host)
    assert (levels[0], levels[-1]) == (0, 255)
    assert len(levels) > 10


def test_tables_are_the_same_on_every_machine():
    tables = make_dataset("dsprites_rendered", image_size=16).tables
    assert hashlib.sha256(tables.tobytes()).hexdigest()[:16] == "0916a5492af4e38f"


@pytest.mark.parametrize("image_size", [16, 64])
def test_sprites_keep_their_light_wherever_they_are_put(image_size):
    dataset = make_dataset("dsprites_rendered", image_size=image_size)
    positions = np.stack(np.meshgrid(range(32), range(32), indexing="ij"), -1).reshape(-1, 2)
    for shape in range(3):
        sources = np.concatenate([np.tile([shape, 5, 5], (1024, 1)), positions], axis=1)
        images = dataset.images(SPEC.indices_of(sources)).astype(float)[..., 0]
        mass = images.sum(axis=(1, 2))
        assert np.ptp(mass) < 0.04 * mass.mean()  # nothing is cut off at the border
        x = (images.sum(1) * np.arange(image_size)).sum(-1) / mass
        y = (images.sum(2) * np.arange(image_size)).sum(-1) / mass
        np.testing.assert_allclose(x - x[0], positions[:, 0] * image_size / 64, atol=0.08)
        np.testing.assert_allclose(y - y[0], positions[:, 1] * image_size / 64, atol=0.08)


def test_every_turn_of_a_heart_looks_different():
    dataset = make_dataset("dsprites_rendered", image_size=64)
    sources = np.tile([2, 3, 0, 16, 16], (40, 1))
    sources[:, 2] = np.arange(40)
    images = dataset.images(SPEC.indices_of(sources)).reshape(40, -1).astype(int)
    apart = np.abs(images[:, None] - images[None]).sum(-1) + 10**9 * np.eye(40, dtype=int)
    assert apart.min() > 2000


def test_a_size_without_whole_phases_is_one_clear_line():
    with pytest.raises(UserError, match="multiple of 16"):
        make_dataset("dsprites_rendered", image_size=50)
