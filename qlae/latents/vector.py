"""Vector quantization: each latent takes the nearest embedding of one shared codebook."""

import math

import jax
import jax.numpy as jnp

from qlae.latents.base import Codebook, Codes, Latents
from qlae.nn.init import declare_uniform


class VectorLatents(Latents):
    """Latents quantized to learnable vectors, the codebook shared by all of them.

    van den Oord et al., *Neural discrete representation learning*, NeurIPS 2017.

    Args:
        num_latents: Z.
        num_values: N, how many embeddings there are.
        embedding_size: E; embeddings start uniform on +-sqrt(3 / E), which is unit length.
    """

    def __init__(
        self,
        num_latents: int,
        *,
        num_values: int = 512,
        embedding_size: int = 64,
    ):
        self.num_latents = num_latents
        self.num_values = num_values
        self.num_encoder_out = self.num_decoder_in = num_latents * embedding_size
        bound = math.sqrt(3 / embedding_size)
        self.codebook = declare_uniform((num_values, embedding_size), bound, Codebook)

    def __call__(self, pre_z: jax.Array, noise: jax.Array | None = None, step=0) -> Codes:
        """Quantizes (B, Z * E), latent-major; indices are (B, Z), all else (B, Z * E)."""
        codebook_NxE = self.codebook[...]
        z_continuous = pre_z.astype(codebook_NxE.dtype)
        z_BxZxE = z_continuous.reshape(z_continuous.shape[0], self.num_latents, -1)
        # |z|^2 is the same for every embedding, so it cannot change the nearest.
        distance_BxZxN = (codebook_NxE**2).sum(-1) - 2 * z_BxZxE @ codebook_NxE.T
        indices = jnp.argmin(distance_BxZxN, axis=-1).astype(jnp.int32)
        z_quantized = self.lookup(indices)
        z_hat = z_continuous + jax.lax.stop_gradient(z_quantized - z_continuous)
        return Codes(z_hat, z_continuous, z_quantized, indices)

    def lookup(self, latents_BxZ: jax.Array) -> jax.Array:
        """Returns embeddings (B, Z * E), latent-major, of indices (B, Z) in [0, N)."""
        return self.codebook[...][latents_BxZ].reshape(latents_BxZ.shape[0], -1)

    def draw_prior(self, key: jax.Array, batch_size: int) -> jax.Array:
        """Returns indices (B, Z) int32, uniform on [0, N)."""
        return jax.random.randint(key, (batch_size, self.num_latents), 0, len(self.codebook[...]))
