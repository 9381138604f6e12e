"""Relaxed latents: what is drawn in training, what inference takes, how the temperature falls."""

import jax
import jax.numpy as jnp
import numpy as np

from qlae.latents.relaxed import CategoricalLatents, RelaxedScalarLatents
from qlae.nn.init import draw_params

KEY = jax.random.key(0)


def make(kind, **options):
    latents = kind(3, num_values=5, **options)
    draw_params(latents, KEY)
    return latents


def test_inference_takes_the_nearest_value_and_training_a_mixture():
    latents = make(RelaxedScalarLatents)
    pre_z = jax.random.normal(KEY, (20, 3))
    inferred = latents(pre_z)
    values = np.asarray(latents.codebook[...])
    nearest = np.abs(np.asarray(pre_z)[..., None] - values).argmin(-1)
    np.testing.assert_array_equal(inferred.indices, nearest)
    np.testing.assert_array_equal(inferred.z_hat, values[nearest])
    noise = latents.draw_noise(KEY, 20)
    drawn = latents(pre_z, noise)
    np.testing.assert_allclose(drawn.sample.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(drawn.z_hat, drawn.sample @ values, rtol=1e-5)
    assert drawn.sample[0].size == latents.num_sampled


def test_the_temperature_falls_with_the_steps():
    latents = make(RelaxedScalarLatents, temperature=0.5, temperature_decay=0.1)
    np.testing.assert_allclose(latents.compute_temperature(10), 0.5 * np.exp(-1), rtol=1e-6)
    pre_z, noise = jax.random.normal(KEY, (20, 3)), latents.draw_noise(KEY, 20)
    hot, cold = (latents(pre_z, noise, step).sample.max(-1).mean() for step in (0, 60))
    assert hot < cold
    assert cold > 0.99


def test_categorical_latents_read_a_logit_for_every_value():
    latents = make(CategoricalLatents)
    pre_z = jax.random.normal(KEY, (7, 15))
    codes = latents(pre_z)
    np.testing.assert_array_equal(codes.indices, pre_z.reshape(7, 3, 5).argmax(-1))
    assert codes.z_continuous.shape == codes.z_hat.shape == (7, 3)
    assert jnp.array_equal(latents.lookup(codes.indices), codes.z_hat)
