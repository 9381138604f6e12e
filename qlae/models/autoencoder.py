"""The autoencoders: variants differ in their latents, their terms, and what pixels are."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from qlae.latents.base import Codes, Latents
from qlae.models.base import Model
from qlae.nn.blocks import MLP, Linear, leak
from qlae.nn.encoders import widen


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

    def encode(
        self, image_BxHxWxC: jax.Array, noise: jax.Array | None = None, step: jax.Array | int = 0
    ) -> Codes:
        """Returns the codes of images; noise and step are those of `Latents`."""
        return self.latents(self.encoder(image_BxHxWxC), noise, step)

    def decode(self, z_BxD: jax.Array) -> jax.Array:
        """Returns image logits from decoder inputs, `Codes.z_hat` or `latents.lookup(...)`."""
        return self.decoder(z_BxD)


class CenteredAutoencoder(Autoencoder):
    """An autoencoder whose decoder gives pixels themselves, less a half."""

    def decode(self, z_BxD: jax.Array) -> jax.Array:
        """Returns the logits of these pixels, within half a grey level of black and white."""
        pixels = widen(self.decoder(z_BxD)) + 0.5
        return jax.scipy.special.logit(jnp.clip(pixels, 1 / 512, 511 / 512))


class Discriminator(nnx.Module):
    """Tells latents of an image from latents that are independent of one another.

    Args:
        num_in: numbers that were sampled for an image.
        dense: widths of the layers, each with leaky ReLU.
        deviation: of normal kernels at the start; None starts them uniform within their fan-in.
        dtype: to compute in.
    """

    def __init__(
        self,
        num_in: int,
        *,
        dense: tuple[int, ...],
        deviation: float | None = None,
        dtype: DTypeLike,
    ):
        options: dict[str, Any] = {"deviation": deviation, "dtype": dtype}
        self.mlp = MLP(num_in, dense, activation=leak, **options)
        self.head = Linear(self.mlp.num_out, 2, **options)

    def __call__(self, sample_BxZxN: jax.Array) -> jax.Array:
        """Returns logits (B, 2), float32 at least: of an image, of independence."""
        return widen(self.head(self.mlp(sample_BxZxN.reshape(len(sample_BxZxN), -1))))


class FactorAutoencoder(Autoencoder):
    """An autoencoder with a discriminator of its latents (Kim and Mnih, 2018)."""

    def __init__(
        self,
        encoder: nnx.Module,
        latents: Latents,
        decoder: nnx.Module,
        *,
        discriminator: Mapping[str, Any],
        dtype: DTypeLike,
    ):
        super().__init__(encoder, latents, decoder, dtype=dtype)
        self.discriminator = Discriminator(latents.num_sampled, dtype=dtype, **discriminator)


class CenteredFactorAutoencoder(FactorAutoencoder, CenteredAutoencoder):
    """Both of these (Baykal et al., 2024)."""
