"""Loss terms on the latents of a batch: quantization, KL, total correlation, activity.

Each is a scalar in float32 or wider, a mean over the rows at hand; a term of which one row depends
on others gathers those of the whole batch first.
"""

import math

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient

from qlae.batch import gather_rows
from qlae.latents.base import Codes


def compute_quantize(codes: Codes) -> jax.Array:
    """Mean squared distance that moves the codebook to the encoder's output (method, section 2)."""
    return jnp.mean((stop_gradient(codes.z_continuous) - codes.z_quantized) ** 2)


def compute_commit(codes: Codes) -> jax.Array:
    """Mean squared distance that moves the encoder's output to the codebook (method, section 2)."""
    return jnp.mean((codes.z_continuous - stop_gradient(codes.z_quantized)) ** 2)


def compute_kl(codes: Codes) -> jax.Array:
    """KL(q(z|x) to N(0, I)) in nats, summed over latents (Higgins et al., beta-VAE, 2017)."""
    mean, scale = codes.z_continuous, codes.scale
    per_latent = (mean**2 + scale**2 - 1) / 2 - jnp.log(scale)
    return jnp.mean(per_latent.sum(axis=-1))


def compute_nonnegative(codes: Codes) -> jax.Array:
    """Mean of max(-z, 0) (Whittington et al., *Disentanglement with biological constraints*)."""
    return jnp.mean(jax.nn.relu(-codes.z_hat))


def compute_activity(codes: Codes) -> jax.Array:
    """Mean of z^2 (Whittington et al., *Disentanglement with biological constraints*)."""
    return jnp.mean(codes.z_hat**2)


def compute_kl_decomposition(codes: Codes, dataset_size: int) -> dict[str, jax.Array]:
    """Splits the KL as beta-TCVAE does, by minibatch-weighted estimates over all pairs of a batch.

    Chen et al., *Isolating sources of disentanglement in VAEs*, NeurIPS 2018, equation 3 and
    appendix C.1: each log-sum-exp is lessened by log(batch size) + log(dataset size).

    Returns:
        Scalars in nats: `mutual_information`, `total_correlation`, `dimension_wise_kl`.
    """
    z_BxZ, mean_BxZ, scale_BxZ = codes.z_hat, codes.z_continuous, codes.scale
    log_p_B = _log_normal(z_BxZ, 0.0, 1.0).sum(-1)
    log_q_given_x_B = _log_normal(z_BxZ, mean_BxZ, scale_BxZ).sum(-1)
    mean_AxZ, scale_AxZ = gather_rows(mean_BxZ), gather_rows(scale_BxZ)  # A: of all devices
    pair_BxAxZ = _log_normal(z_BxZ[:, None], mean_AxZ[None], scale_AxZ[None])
    log_count = math.log(mean_AxZ.shape[0]) + math.log(dataset_size)
    log_q_B = jax.nn.logsumexp(pair_BxAxZ.sum(-1), axis=1) - log_count
    log_q_product_B = (jax.nn.logsumexp(pair_BxAxZ, axis=1) - log_count).sum(-1)
    return {
        "mutual_information": jnp.mean(log_q_given_x_B - log_q_B),
        "total_correlation": jnp.mean(log_q_B - log_q_product_B),
        "dimension_wise_kl": jnp.mean(log_q_product_B - log_p_B),
    }


def _log_normal(x: jax.Array, mean: jax.Array | float, scale: jax.Array | float) -> jax.Array:
    return -0.5 * ((x - mean) / scale) ** 2 - jnp.log(scale) - 0.5 * math.log(2 * math.pi)
