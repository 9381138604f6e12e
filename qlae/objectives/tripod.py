"""Tripod's two terms (Hsu et al., 2024): multi-information of latents, curvature of the decoder."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from qlae.collectives import gather_rows
from qlae.common.factories import get_named
from qlae.models.autoencoder import Autoencoder
from qlae.nn.precision import make_exact
from qlae.objectives.forward import Forward, Probe, log_normal

# What directions are drawn from: signs see the Hessian's off-diagonal part, normals all of it.
KINDS = ("rademacher", "normal")


def compute_multi_information(forward: Forward) -> jax.Array:
    """Kernel estimate of the multi-information of the latents, in nats."""
    log_joint_B, log_marginals_BxZ = estimate_kernel_densities(forward)
    return jnp.mean(log_joint_B - log_marginals_BxZ.sum(axis=-1))


def estimate_kernel_densities(forward: Forward) -> tuple[jax.Array, jax.Array]:
    """Estimates log densities at each `z_hat` from those of the whole batch, its own included.

    Kernels are normal, as wide as the latents spread, and in the joint estimate as wide as that
    times Silverman's factor in Z dimensions: so independent latents do not have exactly 0.

    Returns:
        Log density (B,) of the vector, and (B, Z) of each of its latents.
    """
    z_BxZ = forward.codes.z_hat
    z_AxZ = gather_rows(z_BxZ)  # A: of all devices
    size, num_latents = z_AxZ.shape
    silverman = (4 / ((num_latents + 2) * size)) ** (1 / (num_latents + 4))

    def compare(width_Z: jax.Array) -> jax.Array:
        return log_normal(z_BxZ[:, None], z_AxZ[None], width_Z)

    log_joint_B = jax.nn.logsumexp(compare(silverman * forward.spread).sum(-1), axis=1)
    log_marginals_BxZ = jax.nn.logsumexp(compare(forward.spread), axis=1)
    return log_joint_B - math.log(size), log_marginals_BxZ - math.log(size)


def compute_hessian_penalty(forward: Forward) -> jax.Array:
    """Mean square of the decoder's mixed second derivatives (Peebles et al., 2020), summed."""
    curvatures = compute_curvatures(forward, KINDS[:1])
    return jnp.mean(sum(signs_B for (signs_B,) in curvatures.values()))


def compute_normalized_hessian_penalty(forward: Forward) -> jax.Array:
    """The same as a share of all second derivatives: scaling latents or activations cannot help."""
    curvatures = compute_curvatures(forward, KINDS)
    return jnp.mean(sum(signs_B / (all_B + 1e-10) for signs_B, all_B in curvatures.values()))


PENALTIES = {
    "hessian_penalty": compute_hessian_penalty,
    "normalized_hessian_penalty": compute_normalized_hessian_penalty,
}


def skip_at_zero(name: str, forward: Forward) -> jax.Array:
    """Returns a penalty, which takes many passes through the decoder; 0 where its weight is 0."""
    # Read first what is gathered from all devices, for no branch may have a collective of its own.
    nothing = jnp.zeros_like(forward.spread[0])
    return jax.lax.cond(
        forward.weights[name] > 0, lambda: PENALTIES[name](forward), lambda: nothing
    )


def compute_curvatures(forward: Forward, kinds: Sequence[str]) -> dict[str, tuple[jax.Array, ...]]:
    """Estimates squares of second derivatives by differences along random directions.

    For each kind of directions the variance, over directions, of the second difference along
    them, mean over the entries of an activation. All in float32 at least: differences of
    neighbouring activations are divided by the square of a small step.

    Returns:
        By activation one (B,) a kind.
    """
    probe, z_BxZ = forward.probe, forward.codes.z_hat
    directions = jnp.concatenate([forward.draws[kind] for kind in kinds], axis=1)
    steps_BxDxZ = probe.size * directions.astype(z_BxZ.dtype) * forward.spread
    center_Bx1xZ, count = z_BxZ[:, None], steps_BxDxZ.shape[1]
    points = jnp.concatenate(
        [center_Bx1xZ, center_Bx1xZ + steps_BxDxZ, center_Bx1xZ - steps_BxDxZ], axis=1
    )
    # One pass of all points: networks treat images apart, so they need not be passes of their own.
    decoder: Any = forward.decoder
    found = make_exact(decoder).activations(points.reshape(-1, points.shape[-1]))
    names = probe.activations or tuple(name for name in found if name != "logits")

    def estimate(name: str) -> tuple[jax.Array, ...]:
        values = found[name].reshape(*points.shape[:2], -1)
        middle, ahead, behind = jnp.split(values, (1, 1 + count), axis=1)
        differences = (ahead - 2 * middle + behind) / probe.size**2
        parts = jnp.split(differences, len(kinds), axis=1)
        return tuple(part.var(axis=1).mean(axis=-1) for part in parts)

    return {name: estimate(name) for name in names}


def draw_directions(
    names: Sequence[str], model: Autoencoder, probe: Probe, key: jax.Array, batch_size: int
) -> dict[str, jax.Array]:
    """Returns directions (B, count, num_decoder_in) float32 of each kind, if a term needs them."""
    if not set(names) & set(PENALTIES):
        return {}
    shape = (batch_size, probe.count, model.latents.num_decoder_in)
    keys = jax.random.split(jax.random.fold_in(key, 1))
    draws = (jax.random.rademacher(keys[0], shape, float), jax.random.normal(keys[1], shape))
    return dict(zip(KINDS, draws, strict=True))


def check_activations(model: Autoencoder, probe: Probe) -> None:
    """Checks the names that a probe gives, against a model of which only shapes are known.

    Raises:
        UserError: the decoder has no such activation.
    """
    if not probe.activations:
        return

    def activations(model: Any) -> dict[str, jax.Array]:
        return model.decoder.activations(jnp.zeros((1, model.latents.num_decoder_in)))

    found = nnx.eval_shape(activations, model)
    for name in probe.activations:
        get_named("activation of the decoder", found, name)
