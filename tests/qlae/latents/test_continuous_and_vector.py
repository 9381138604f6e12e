"""Point, Gaussian and vector latents."""

import jax
import jax.numpy as jnp
import numpy as np

from qlae.latents.continuous import GaussianLatents, PointLatents
from qlae.latents.vector import VectorLatents

KEY = jax.random.key(0)


def test_point_latents_are_the_encoders_output():
    latents = PointLatents(4)
    z = jax.random.normal(KEY, (7, 4))
    assert latents(z).z_hat is z
    assert latents(z).latents is z
    assert latents.draw_noise(KEY, 7) is None
    prior = latents.draw_prior(KEY, 1000)
    assert prior.min() >= 0
    assert prior.max() < 1


def test_gaussian_latents_sample_in_training_and_take_the_mean_at_inference():
    latents = GaussianLatents(4)
    pre_z = jax.random.normal(KEY, (7, 8))
    noise = latents.draw_noise(jax.random.key(1), 7)
    sampled, inferred = latents(pre_z, noise), latents(pre_z)
    scale = np.log1p(np.exp(pre_z[:, 4:]))
    np.testing.assert_allclose(sampled.scale, scale, rtol=1e-5)
    np.testing.assert_allclose(sampled.z_hat, pre_z[:, :4] + scale * noise, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(inferred.z_hat, pre_z[:, :4])
    np.testing.assert_array_equal(inferred.latents, pre_z[:, :4])


def test_vector_latents_take_the_nearest_embedding():
    latents = VectorLatents(3, num_values=6, embedding_size=4)
    z = jax.random.normal(KEY, (9, 12))
    codes = latents(z)
    codebook = np.asarray(latents.codebook[...])
    distance = ((np.asarray(z).reshape(9, 3, 1, 4) - codebook) ** 2).sum(-1)
    np.testing.assert_array_equal(codes.indices, distance.argmin(-1))
    np.testing.assert_array_equal(codes.z_quantized.reshape(9, 3, 4), codebook[codes.indices])
    assert np.abs(codebook).max() <= np.sqrt(3 / 4)
    assert jnp.array_equal(latents.lookup(codes.indices), codes.z_quantized)
