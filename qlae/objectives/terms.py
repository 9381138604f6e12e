"""Loss terms, each a function of one forward pass, under the name of its weight.

Each is a scalar in float32 or wider, a mean over the rows at hand; a term of which one row depends
on others gathers those of the whole batch first.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import optax
from jax.lax import stop_gradient

from qlae.common.errors import UserError
from qlae.objectives.forward import Forward
from qlae.objectives.player import Weights
from qlae.objectives.tripod import PENALTIES, compute_multi_information, skip_at_zero


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


def compute_squared_error(forward: Forward) -> jax.Array:
    """Mean squared error of pixels less a half, over all pixels; `logits` are such pixels."""
    return jnp.mean((forward.logits.astype(forward.image.dtype) + 0.5 - forward.image) ** 2)


def compute_uniform_kl(forward: Forward) -> jax.Array:
    """KL of each relaxed latent to the uniform distribution in nats, mean over latents.

    Of the probabilities alone: without noise and at temperature 1 (arXiv 2409.14851).
    """
    logits = forward.codes.logits
    p = jax.nn.softmax(logits)
    return jnp.mean(jnp.sum(p * jnp.log(p * logits.shape[-1] + 1e-10), axis=-1))


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
    "squared_error": compute_squared_error,
    "uniform_kl": compute_uniform_kl,
    "multi_information": compute_multi_information,
    **{name: functools.partial(skip_at_zero, name) for name in PENALTIES},
}


def warm_up(weights: Weights, warmup_steps: Mapping[str, int], step: jax.Array) -> Weights:
    """Returns the weights of a step, of which some grow linearly from 0 over so many steps."""
    grown = {
        name: weights[name] * jnp.minimum(1.0, step / duration)
        for name, duration in warmup_steps.items()
        if duration > 0
    }
    return {**weights, **grown}


def check_weights(
    model: str, required: Sequence[str], optional: Sequence[str], weights: Iterable[str]
) -> None:
    """Checks that every term of a model has a weight, and every weight a term.

    Raises:
        UserError: not so.
    """
    has = f"the loss terms of {model} are {', '.join(required)}"
    if optional:
        has += f"; it may also have {', '.join(optional)}"
    for weight in weights:
        if weight not in (*required, *optional):
            raise UserError(f"config.weights.{weight}: there is no such term; {has}")
    for term in required:
        if term not in weights:
            raise UserError(f"config.weights lacks {term!r}; {has}")
