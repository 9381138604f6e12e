"""What evaluation asks of every model."""

import jax
from flax import nnx

from qlae.latents.base import Codes, Latents


class Model(nnx.Module):
    """The interface: images (B, H, W, C) in [0, 1] to codes, codes to image logits.

    Attributes:
        latents: what stands between the two.
    """

    latents: Latents

    def encode(
        self, image_BxHxWxC: jax.Array, noise: jax.Array | None = None, step: jax.Array | int = 0
    ) -> Codes:
        """Returns the codes of images; noise and step are those of `Latents`."""
        raise NotImplementedError

    def decode(self, z_BxD: jax.Array) -> jax.Array:
        """Returns image logits from decoder inputs, `Codes.z_hat` or `latents.lookup(...)`."""
        raise NotImplementedError
