"""The one autoencoder: its variants differ only in their latents and objective terms."""

import jax
from flax import nnx
from jax.typing import DTypeLike

from qlae.latents.base import Codes, Latents
from qlae.models.base import Model


class Autoencoder(Model):
    """Encoder, latents, decoder; images (B, H, W, C) in [0, 1], logits of the same shape."""

    def __init__(
        self,
        encoder: nnx.Module,
        latents: Latents,
        decoder: nnx.Module,
        *,
        dtype: DTypeLike,
    ):
        del dtype  # it has no parameters of its own
        self.encoder = encoder
        self.latents = latents
        self.decoder = decoder

    def encode(self, image_BxHxWxC: jax.Array, noise: jax.Array | None = None) -> Codes:
        """Returns the codes of images; without noise, as at inference."""
        return self.latents(self.encoder(image_BxHxWxC), noise)

    def decode(self, z_BxD: jax.Array) -> jax.Array:
        """Returns image logits from decoder inputs, `Codes.z_hat` or `latents.lookup(...)`."""
        return self.decoder(z_BxD)
