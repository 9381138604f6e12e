"""The InfoGAN: a generator, and a critic that shares its features with an encoder."""

import jax
from flax import nnx
from jax.typing import DTypeLike

from qlae.latents.base import Codes, Latents
from qlae.models.base import Model
from qlae.nn.blocks import Linear
from qlae.nn.encoders import Encoder, widen


class InfoGAN(Model):
    """A Wasserstein InfoGAN (method, sections 3 and 4); images (B, H, W, C) in [0, 1].

    `critic` is a second linear head on the encoder's features, so both are trained together.
    """

    def __init__(
        self,
        encoder: Encoder,
        latents: Latents,
        generator: nnx.Module,
        *,
        dtype: DTypeLike,
    ):
        self.encoder = encoder
        self.critic = Linear(encoder.mlp.num_out, 1, dtype=dtype)
        self.latents = latents
        self.generator = generator

    def encode(
        self, image_BxHxWxC: jax.Array, noise: jax.Array | None = None, step: jax.Array | int = 0
    ) -> Codes:
        """Returns the codes of images; noise and step are those of `Latents`."""
        return self.latents(self.encoder(image_BxHxWxC), noise, step)

    def decode(self, z_BxD: jax.Array) -> jax.Array:
        """Returns image logits from decoder inputs; their sigmoid is the generated image."""
        return self.generator(z_BxD)

    def judge(self, image_BxHxWxC: jax.Array) -> tuple[jax.Array, Codes]:
        """Returns the critic value (B,) and the codes of images, from one pass of the encoder."""
        features = self.encoder.features(image_BxHxWxC)
        codes = self.latents(self.encoder.read_head(features))
        return widen(self.critic(features))[:, 0], codes
