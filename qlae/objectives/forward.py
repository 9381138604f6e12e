"""What one pass of a batch through a model shows to loss terms."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from qlae.collectives import gather_rows
from qlae.latents.base import Codes
from qlae.objectives.player import Weights


@dataclasses.dataclass(frozen=True)
class Probe:
    """How the curvature of a decoder is probed (Tripod, arXiv 2404.10282).

    Attributes:
        count: of random directions an image, at least 2: their variance is taken.
        size: of a step, in standard deviations of each latent.
        activations: of the decoder, by name; none stands for all but the logits.
    """

    count: int = 2
    size: float = 0.1
    activations: tuple[str, ...] = ()


@dataclasses.dataclass
class Forward:
    """What one pass of a batch through a model shows to loss terms.

    Attributes:
        codes: of the images.
        image: (B, H, W, C) in [0, 1].
        logits: (B, H, W, C), decoded from `codes.z_hat`; pixels less a half where the model's
            decoder gives those.
        dataset_size: number of training images.
        decoder: what decoded them.
        draws: what terms draw at random, by name.
        probe: how curvature is probed.
        weights: of the terms; one that costs much is not computed where its weight is 0.
    """

    codes: Codes
    image: jax.Array
    logits: jax.Array
    dataset_size: int
    decoder: nnx.Module | None = None
    draws: dict[str, Any] = dataclasses.field(default_factory=dict)
    probe: Probe = dataclasses.field(default_factory=Probe)
    weights: Weights = dataclasses.field(default_factory=dict)

    @property
    def num_pixels(self) -> int:
        """Numbers in an image: what a sum over pixels has to be divided by to be their mean."""
        return math.prod(self.image.shape[1:])

    @functools.cached_property
    def log_densities(self) -> "LogDensities":
        """What the three terms of beta-TCVAE share, computed once."""
        return estimate_log_densities(self.codes, self.dataset_size)

    @functools.cached_property
    def spread(self) -> jax.Array:
        """Standard deviations (Z,) of `z_continuous` over the whole batch, and 1e-6."""
        z_AxZ = gather_rows(self.codes.z_continuous)
        variance_Z = z_AxZ.var(axis=0)
        # sqrt has no finite derivative at 0, where a latent that saturates ends.
        varies_Z = variance_Z > 0
        return jnp.where(varies_Z, jnp.sqrt(jnp.where(varies_Z, variance_Z, 1.0)), 0.0) + 1e-6


@dataclasses.dataclass(frozen=True)
class LogDensities:
    """Of each sampled latent vector, in nats, (B,): what beta-TCVAE compares."""

    q_given_x: jax.Array
    q: jax.Array
    q_product: jax.Array
    p: jax.Array


def estimate_log_densities(codes: Codes, dataset_size: int) -> LogDensities:
    """Estimates log densities from a minibatch, weighted, over all pairs of the whole batch.

    Chen et al., *Isolating sources of disentanglement in VAEs*, NeurIPS 2018, equation 3 and
    appendix C.1: each log-sum-exp is lessened by log(batch size) + log(dataset size).
    """
    z_BxZ, mean_BxZ, scale_BxZ = codes.z_hat, codes.z_continuous, codes.scale
    mean_AxZ, scale_AxZ = gather_rows(mean_BxZ), gather_rows(scale_BxZ)  # A: of all devices
    pair_BxAxZ = log_normal(z_BxZ[:, None], mean_AxZ[None], scale_AxZ[None])
    log_count = math.log(mean_AxZ.shape[0]) + math.log(dataset_size)
    return LogDensities(
        q_given_x=log_normal(z_BxZ, mean_BxZ, scale_BxZ).sum(-1),
        q=jax.nn.logsumexp(pair_BxAxZ.sum(-1), axis=1) - log_count,
        q_product=(jax.nn.logsumexp(pair_BxAxZ, axis=1) - log_count).sum(-1),
        p=log_normal(z_BxZ, 0.0, 1.0).sum(-1),
    )


def log_normal(x: jax.Array, mean: jax.Array | float, scale: jax.Array | float) -> jax.Array:
    """Returns the log density of a normal distribution, elementwise."""
    return -0.5 * ((x - mean) / scale) ** 2 - jnp.log(scale) - 0.5 * math.log(2 * math.pi)
