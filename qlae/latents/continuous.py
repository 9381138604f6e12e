"""Continuous latents: a point, or a Gaussian that training samples from."""

import jax
import jax.numpy as jnp

from qlae.latents.base import Codes, Latents


class PointLatents(Latents):
    """The encoder's output as it is; the prior is uniform on [0, 1) (method, section 4)."""

    def __init__(self, num_latents: int):
        self.num_latents = self.num_encoder_out = self.num_decoder_in = num_latents

    def __call__(self, pre_z: jax.Array, noise: jax.Array | None = None, step=0) -> Codes:
        """Returns codes whose `z_hat` and `z_continuous` are the input (B, Z)."""
        return Codes(z_hat=pre_z, z_continuous=pre_z)

    def lookup(self, latents_BxZ: jax.Array) -> jax.Array:
        """Returns its argument: the decoder reads what metrics read."""
        return latents_BxZ

    def draw_prior(self, key: jax.Array, batch_size: int) -> jax.Array:
        """Returns (B, Z) float32, uniform on [0, 1)."""
        return jax.random.uniform(key, (batch_size, self.num_latents))


class GaussianLatents(Latents):
    """A diagonal Gaussian, sigma = softplus; sampled in training, its mean at inference.

    Kingma and Welling, *Auto-encoding variational Bayes*, 2014 (arXiv 1312.6114).
    """

    def __init__(self, num_latents: int):
        self.num_latents = self.num_decoder_in = num_latents
        self.num_encoder_out = 2 * num_latents

    def __call__(self, pre_z: jax.Array, noise: jax.Array | None = None, step=0) -> Codes:
        """Reads mean and pre-scale from (B, 2 Z); adds `scale * noise` if noise (B, Z) is given."""
        mean_BxZ, pre_scale_BxZ = jnp.split(pre_z, 2, axis=-1)
        scale_BxZ = jax.nn.softplus(pre_scale_BxZ)
        z_hat = mean_BxZ if noise is None else mean_BxZ + scale_BxZ * noise
        return Codes(z_hat=z_hat, z_continuous=mean_BxZ, scale=scale_BxZ)

    def lookup(self, latents_BxZ: jax.Array) -> jax.Array:
        """Returns its argument: the decoder reads what metrics read."""
        return latents_BxZ

    def draw_noise(self, key: jax.Array, batch_size: int) -> jax.Array:
        """Returns standard normal noise (B, Z) float32."""
        return jax.random.normal(key, (batch_size, self.num_latents))

    def draw_prior(self, key: jax.Array, batch_size: int) -> jax.Array:
        """Returns (B, Z) float32 from N(0, I)."""
        return self.draw_noise(key, batch_size)
