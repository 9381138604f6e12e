"""Discrete latents relaxed in training: Gumbel-softmax over the values of one scalar codebook."""

from typing import Any

import jax
import jax.numpy as jnp

from qlae.latents.base import Codebook, Codes
from qlae.latents.scalar import ScalarLatents
from qlae.nn.init import declare_normal


class RelaxedScalarLatents(ScalarLatents):
    """Each latent weighs the values of a shared codebook by distance: FactorQVAE's.

    In training weights are drawn from a Gumbel-softmax, and `z_hat` is the weighted value; at
    inference it is the nearest value. Baykal et al., *Disentanglement with factor quantized
    variational autoencoders*, 2024 (arXiv 2409.14851).

    Args:
        num_latents: Z.
        num_values: V; they start standard normal.
        temperature: of the softmax at the first step.
        temperature_decay: the temperature of a step is `temperature * exp(-decay * step)`.
    """

    def __init__(
        self,
        num_latents: int,
        *,
        num_values: int = 64,
        temperature: float = 1.0,
        temperature_decay: float = 0.0,
    ):
        super().__init__(num_latents, num_values=num_values, shared=True)
        self.num_values: int = num_values
        self.codebook: Any = declare_normal((num_values,), 1.0, Codebook)
        self.temperature, self.temperature_decay = temperature, temperature_decay

    @property
    def num_sampled(self) -> int:
        """How many numbers `Codes.sample` has for an image."""
        return self.num_latents * self.num_values

    def compute_temperature(self, step: jax.Array | int) -> jax.Array:
        """Returns the temperature () of a step."""
        return self.temperature * jnp.exp(-self.temperature_decay * step)

    def compute_logits(self, pre_z: jax.Array) -> jax.Array:
        """Returns unnormalised log probabilities (B, Z, V) of the values."""
        return -((pre_z[..., None] - self.codebook[...]) ** 2)

    def read_continuous(self, pre_z: jax.Array, logits_BxZxV: jax.Array) -> jax.Array:
        """Returns where a latent is before it takes a value, (B, Z)."""
        del logits_BxZxV
        return pre_z

    def __call__(self, pre_z: jax.Array, noise: jax.Array | None = None, step=0) -> Codes:
        """Relaxes encoder outputs with Gumbel noise (B, Z, V); without it takes the likeliest."""
        logits_BxZxV = self.compute_logits(pre_z)
        indices = jnp.argmax(logits_BxZxV, axis=-1).astype(jnp.int32)
        z_quantized, weights_BxZxV = self.lookup(indices), None
        if noise is not None:
            temperature = self.compute_temperature(step).astype(logits_BxZxV.dtype)
            weights_BxZxV = jax.nn.softmax((logits_BxZxV + noise) / temperature)
        return Codes(
            z_hat=z_quantized if weights_BxZxV is None else weights_BxZxV @ self.codebook[...],
            z_continuous=self.read_continuous(pre_z, logits_BxZxV),
            z_quantized=z_quantized,
            indices=indices,
            logits=logits_BxZxV,
            weights=weights_BxZxV,
        )

    def draw_noise(self, key: jax.Array, batch_size: int) -> jax.Array:
        """Returns Gumbel noise (B, Z, V) float32."""
        return jax.random.gumbel(key, (batch_size, self.num_latents, self.num_values))


class CategoricalLatents(RelaxedScalarLatents):
    """The same, its log probabilities read from the encoder: the discrete VAE's.

    Baykal et al. compare with it as DVAE; Friede et al., *Learning disentangled discrete
    representations*, 2023 (arXiv 2307.14151) have another form of it.
    """

    def __init__(self, num_latents: int, **options):
        super().__init__(num_latents, **options)
        self.num_encoder_out = num_latents * self.num_values

    def compute_logits(self, pre_z: jax.Array) -> jax.Array:
        """Reads (B, Z, V) from encoder outputs (B, Z * V), latent-major."""
        return pre_z.reshape(-1, self.num_latents, self.num_values)

    def read_continuous(self, pre_z: jax.Array, logits_BxZxV: jax.Array) -> jax.Array:
        """Returns the mean value (B, Z) under the probabilities."""
        return jax.nn.softmax(logits_BxZxV) @ self.codebook[...]
