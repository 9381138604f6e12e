"""Scalar quantization: each latent takes the nearest value of a codebook (paper, section 3)."""

import jax
import jax.numpy as jnp
import numpy as np

from qlae.latents.base import Codebook, Codes, Latents


class ScalarLatents(Latents):
    """Latents quantized to learnable scalars: the core of the method.

    Args:
        num_latents: Z.
        num_values: V, at least 1; each codebook starts evenly spaced on [-0.5, 0.5].
        shared: one codebook (V,) for all latents instead of one each (Z, V).
        learnable: False keeps the codebook where it starts.
    """

    def __init__(
        self,
        num_latents: int,
        *,
        num_values: int = 10,
        shared: bool = False,
        learnable: bool = True,
    ):
        self.num_latents = self.num_encoder_out = self.num_decoder_in = num_latents
        self.num_values = num_values
        self.learnable = learnable
        values_V = jnp.asarray(np.linspace(-0.5, 0.5, num_values))
        self.codebook = Codebook(values_V if shared else jnp.tile(values_V, (num_latents, 1)))

    @property
    def codebook_ZxV(self) -> jax.Array:
        """The values of each latent, (Z, V); no gradient reaches them unless `learnable`."""
        values = jnp.broadcast_to(self.codebook[...], (self.num_latents, self.num_values))
        return values if self.learnable else jax.lax.stop_gradient(values)

    def __call__(self, pre_z: jax.Array, noise: jax.Array | None = None, step=0) -> Codes:
        """Quantizes (B, Z); `z_hat` passes gradients straight through to the encoder."""
        codebook_ZxV = self.codebook_ZxV
        z_continuous = pre_z.astype(codebook_ZxV.dtype)
        distance_BxZxV = jnp.abs(z_continuous[..., None] - codebook_ZxV)
        indices = jnp.argmin(distance_BxZxV, axis=-1).astype(jnp.int32)
        z_quantized = self.lookup(indices)
        z_hat = z_continuous + jax.lax.stop_gradient(z_quantized - z_continuous)
        return Codes(z_hat, z_continuous, z_quantized, indices)

    def lookup(self, latents_BxZ: jax.Array) -> jax.Array:
        """Returns the codebook values (B, Z) of indices (B, Z) in [0, V)."""
        # A masked sum, not a gather: it fuses on every backend, and so does its gradient.
        chosen_BxZxV = latents_BxZ[..., None] == jnp.arange(self.num_values)
        return jnp.where(chosen_BxZxV, self.codebook_ZxV, 0).sum(axis=-1)

    def draw_prior(self, key: jax.Array, batch_size: int) -> jax.Array:
        """Returns indices (B, Z) int32, uniform on [0, V)."""
        return jax.random.randint(
            key, (batch_size, self.num_latents), 0, self.codebook_ZxV.shape[1]
        )
