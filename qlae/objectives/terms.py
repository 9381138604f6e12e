"""Loss terms, each a function of one forward pass, under the name of its weight.

Each is a scalar in float32 or wider, a mean over the rows at hand; a term of which one row depends
on others gathers those of the whole batch first.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax.lax import stop_gradient

from qlae.collectives import gather_rows
from qlae.latents.base import Codes


@dataclasses.dataclass
class Forward:
    """What one pass of a batch through a model shows to loss terms.

    Attributes:
        codes: of the images.
        image: (B, H, W, C) in [0, 1].
        logits: (B, H, W, C), decoded from `codes.z_hat`.
        dataset_size: number of training images.
    """

    codes: Codes
    image: jax.Array
    logits: jax.Array
    dataset_size: int

    @property
    def num_pixels(self) -> int:
        """Numbers in an image: what a sum over pixels has to be divided by to be their mean."""
        return math.prod(self.image.shape[1:])

    @functools.cached_property
    def log_densities(self) -> "LogDensities":
        """What the three terms of beta-TCVAE share, computed once."""
        return estimate_log_densities(self.codes, self.dataset_size)


@dataclasses.dataclass(frozen=True)
class LogDensities:
    """Of each sampled latent vector, in nats, (B,): what beta-TCVAE compares."""

    q_given_x: jax.Array
    q: jax.Array
    q_product: jax.Array
    p: jax.Array


def compute_reconstruction(forward: Forward) -> jax.Array:
    """Mean sigmoid binary cross entropy over all pixels, with soft targets in [0, 1].

    The sum runs in the image's dtype (float32 in training), whatever the logits were computed in.
    """
    logits = forward.logits.astype(forward.image.dtype)
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, forward.image))


def compute_quantize(forward: Forward) -> jax.Array:
    """Mean squared distance that moves the codebook to the encoder's output (method, section 2)."""
    codes = forward.codes
    return jnp.mean((stop_gradient(codes.z_continuous) - codes.z_quantized) ** 2)


def compute_commit(forward: Forward) -> jax.Array:
    """Mean squared distance that moves the encoder's output to the codebook (method, section 2)."""
    codes = forward.codes
    return jnp.mean((codes.z_continuous - stop_gradient(codes.z_quantized)) ** 2)


def compute_kl(forward: Forward) -> jax.Array:
    """KL(q(z|x) to N(0, I)) in nats a pixel, summed over latents (Higgins et al., 2017).

    Divided by the pixels and channels of an image, as the variational objectives do to stay
    comparable with a *mean* reconstruction.
    """
    mean, scale = forward.codes.z_continuous, forward.codes.scale
    per_latent = (mean**2 + scale**2 - 1) / 2 - jnp.log(scale)
    return jnp.mean(per_latent.sum(axis=-1)) / forward.num_pixels


def compute_nonnegative(forward: Forward) -> jax.Array:
    """Mean of max(-z, 0) (Whittington et al., *Disentanglement with biological constraints*)."""
    return jnp.mean(jax.nn.relu(-forward.codes.z_hat))


def compute_activity(forward: Forward) -> jax.Array:
    """Mean of z^2 (Whittington et al., *Disentanglement with biological constraints*)."""
    return jnp.mean(forward.codes.z_hat**2)


def compute_mutual_information(forward: Forward) -> jax.Array:
    """Index-code mutual information in nats a pixel (Chen et al., 2018, equation 2)."""
    log = forward.log_densities
    return jnp.mean(log.q_given_x - log.q) / forward.num_pixels


def compute_total_correlation(forward: Forward) -> jax.Array:
    """Total correlation of the latents in nats a pixel (Chen et al., 2018, equation 2)."""
    log = forward.log_densities
    return jnp.mean(log.q - log.q_product) / forward.num_pixels


def compute_dimension_wise_kl(forward: Forward) -> jax.Array:
    """KL of each latent to its prior, summed, in nats a pixel (Chen et al., 2018, equation 2)."""
    log = forward.log_densities
    return jnp.mean(log.q_product - log.p) / forward.num_pixels


def estimate_log_densities(codes: Codes, dataset_size: int) -> LogDensities:
    """Estimates log densities from a minibatch, weighted, over all pairs of the whole batch.

    Chen et al., *Isolating sources of disentanglement in VAEs*, NeurIPS 2018, equation 3 and
    appendix C.1: each log-sum-exp is lessened by log(batch size) + log(dataset size).
    """
    z_BxZ, mean_BxZ, scale_BxZ = codes.z_hat, codes.z_continuous, codes.scale
    mean_AxZ, scale_AxZ = gather_rows(mean_BxZ), gather_rows(scale_BxZ)  # A: of all devices
    pair_BxAxZ = _log_normal(z_BxZ[:, None], mean_AxZ[None], scale_AxZ[None])
    log_count = math.log(mean_AxZ.shape[0]) + math.log(dataset_size)
    return LogDensities(
        q_given_x=_log_normal(z_BxZ, mean_BxZ, scale_BxZ).sum(-1),
        q=jax.nn.logsumexp(pair_BxAxZ.sum(-1), axis=1) - log_count,
        q_product=(jax.nn.logsumexp(pair_BxAxZ, axis=1) - log_count).sum(-1),
        p=_log_normal(z_BxZ, 0.0, 1.0).sum(-1),
    )


def _log_normal(x: jax.Array, mean: jax.Array | float, scale: jax.Array | float) -> jax.Array:
    return -0.5 * ((x - mean) / scale) ** 2 - jnp.log(scale) - 0.5 * math.log(2 * math.pi)


TERMS: dict[str, Callable[[Forward], jax.Array]] = {
    "reconstruction": compute_reconstruction,
    "quantize": compute_quantize,
    "commit": compute_commit,
    "kl": compute_kl,
    "mutual_information": compute_mutual_information,
    "total_correlation": compute_total_correlation,
    "dimension_wise_kl": compute_dimension_wise_kl,
    "nonnegative": compute_nonnegative,
    "activity": compute_activity,
}
