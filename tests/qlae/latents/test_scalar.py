"""Scalar latents: what is quantized, and where gradients go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from qlae.latents.scalar import ScalarLatents


def make(**options):
    return ScalarLatents(3, num_values=5, **options)


def test_codebooks_start_evenly_spaced():
    expected = np.tile(np.linspace(-0.5, 0.5, 5), (3, 1))
    np.testing.assert_allclose(make().codebook[...], expected, atol=1e-7)
    assert make(shared=True).codebook.shape == (5,)


@pytest.mark.parametrize("shared", [False, True])
def test_nearest_value_of_the_latents_own_codebook(shared):
    latents = make(shared=shared)
    rng = np.random.default_rng(0)
    latents.codebook[...] = jnp.asarray(rng.normal(size=latents.codebook.shape), jnp.float32)
    z = rng.normal(size=(50, 3)).astype(np.float32)
    codes = latents(jnp.asarray(z))
    codebook = np.broadcast_to(latents.codebook[...], (3, 5))
    indices = np.abs(z[:, :, None] - codebook).argmin(-1)
    np.testing.assert_array_equal(codes.indices, indices)
    np.testing.assert_array_equal(codes.z_quantized, codebook[np.arange(3), indices])
    np.testing.assert_array_equal(latents.lookup(codes.indices), codes.z_quantized)
    np.testing.assert_allclose(codes.z_hat, codes.z_quantized, atol=1e-6)
    assert codes.latents is codes.indices
    assert codes.indices.dtype == jnp.int32


def test_z_hat_passes_gradients_to_the_encoder_alone():
    graphdef, params = nnx.split(make())

    def decoded(params, z):
        return nnx.merge(graphdef, params)(z).z_hat.sum()

    to_codebook, to_z = jax.grad(decoded, argnums=(0, 1))(params, jnp.full((2, 3), 0.1))
    np.testing.assert_array_equal(to_z, 1)
    np.testing.assert_array_equal(to_codebook["codebook"][...], 0)


@pytest.mark.parametrize("learnable", [True, False])
def test_fixed_values_get_no_gradient(learnable):
    graphdef, params = nnx.split(make(learnable=learnable))
    looked_up = jax.grad(
        lambda params: nnx.merge(graphdef, params).lookup(jnp.zeros((2, 3), int)).sum()
    )(params)
    assert bool((looked_up["codebook"][...] != 0).any()) == learnable


def test_prior_draws_every_code():
    draws = make().draw_prior(jax.random.key(0), 500)
    assert draws.shape == (500, 3)
    assert set(np.unique(draws)) == set(range(5))
