"""What every kind of latents offers to models, objectives and evaluation."""

from typing import Any

import flax
import jax
from flax import nnx


class Codebook(nnx.Param):
    """A parameter that weight decay and gradient clipping leave alone (method, section 2)."""


@flax.struct.dataclass
class Codes:
    """One batch of images as latents; what a kind of latents has no notion of is None.

    Attributes:
        z_hat: (B, num_decoder_in) float, what the decoder reads.
        z_continuous: (B, num_encoder_out) float, before quantization; for Gaussian latents the
            mean (B, Z).
        z_quantized: like `z_continuous`, the nearest codebook values.
        indices: (B, Z) int32, which codebook value each latent took.
        scale: (B, Z) float > 0, the standard deviation of Gaussian latents.
        logits: (B, Z, V) float, unnormalised log probabilities of the values of relaxed latents.
        weights: (B, Z, V) float, what of each value a relaxed latent took in training.
    """

    z_hat: jax.Array
    z_continuous: jax.Array
    z_quantized: Any = None
    indices: Any = None
    scale: Any = None
    logits: Any = None
    weights: Any = None

    @property
    def latents(self) -> jax.Array:
        """What metrics read, (B, Z): integer indices where there are any, else `z_continuous`."""
        return self.z_continuous if self.indices is None else self.indices

    @property
    def sample(self) -> jax.Array:
        """What was drawn in training, (B, Z, n): relaxed one-hots, else the decoder's inputs."""
        return self.z_hat[..., None] if self.weights is None else self.weights


class Latents(nnx.Module):
    """The interface. A kind of latents maps encoder outputs to `Codes` and back to decoder inputs.

    Attributes:
        num_latents: Z.
        num_encoder_out: how many numbers the encoder's head gives for an image.
        num_decoder_in: how many numbers the decoder reads for an image.
        num_values: how many values a latent can take at most; None if it is continuous.
    """

    num_latents: int
    num_encoder_out: int
    num_decoder_in: int
    num_values: int | None = None

    @property
    def num_values_Z(self) -> tuple[int, ...] | None:
        """How many values each latent can take; None if they are continuous."""
        return None if self.num_values is None else (self.num_values,) * self.num_latents

    @property
    def num_sampled(self) -> int:
        """How many numbers `Codes.sample` has for an image."""
        return self.num_decoder_in

    def __call__(
        self, pre_z: jax.Array, noise: jax.Array | None = None, step: jax.Array | int = 0
    ) -> Codes:
        """Turns encoder outputs (B, num_encoder_out) into codes.

        Args:
            pre_z: encoder outputs.
            noise: as `draw_noise` returns it; None means inference.
            step: of training, on which a temperature may depend.
        """
        raise NotImplementedError

    def lookup(self, latents_BxZ: jax.Array) -> jax.Array:
        """Returns decoder inputs (B, num_decoder_in) for latents as metrics read them."""
        raise NotImplementedError

    def draw_noise(self, key: jax.Array, batch_size: int) -> Any:
        """Returns the noise that `__call__` takes in training: None unless latents are sampled."""
        del key, batch_size
        return None

    def draw_prior(self, key: jax.Array, batch_size: int) -> jax.Array:
        """Returns latents (B, Z) drawn from the prior, in the form that `lookup` takes."""
        raise NotImplementedError
