"""AdamW as the paper has it: unusually high weight decay, and a group that it spares."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from qlae.latents.base import Codebook


def make_decay_mask(model: nnx.Module) -> dict:
    """Returns a pure dict like the model's parameters: True where weight decay and clipping act.

    They act on everything except biases and codebooks: so also on normalisation scales, on style
    conditioning and on the decoder's input map (method, section 2). Found once from Variable types,
    which the bare arrays of an update no longer carry.
    """
    flat = nnx.to_flat_state(nnx.state(model, nnx.Param))
    mask: Any = nnx.from_flat_state(
        [(path, not (isinstance(leaf, Codebook) or path[-1] == "bias")) for path, leaf in flat],
        cls=dict,
    )
    return mask


def anneal(learning_rate, step: jax.Array | int, *, steps: int, end: float) -> jax.Array:
    """Returns the learning rate of a step: half a cosine from its start to `end` in `steps` steps.

    After them it rises again, as it does for the authors of FactorQVAE (arXiv 2409.14851).
    """
    return end + (learning_rate - end) * (1 + jnp.cos(jnp.pi * step / steps)) / 2


def make_optimizer(
    decay_mask: Any,
    *,
    learning_rate,
    weight_decay,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    clip: float | None = 1.0,
    clip_all: bool = False,
) -> optax.GradientTransformation:
    """Returns Adam for all parameters, with clipping and decoupled decay where the mask is True.

    Its state does not depend on any hyperparameter, so `learning_rate` and `weight_decay` may be
    traced scalars: one compiled step serves a whole sweep.

    Args:
        decay_mask: pytree of bool, as `make_decay_mask` returns.
        learning_rate: scalar > 0.
        weight_decay: scalar >= 0; the decay of a step is learning_rate * weight_decay * parameter.
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: added to the root of the second moment.
        clip: elementwise bound on gradients, before Adam; None for none.
        clip_all: clip where the mask is False too.
    """
    clipping = optax.identity() if clip is None else optax.clip(clip)
    return optax.chain(
        clipping if clip_all else optax.masked(clipping, decay_mask),
        optax.scale_by_adam(b1=b1, b2=b2, eps=eps),
        optax.masked(optax.add_decayed_weights(weight_decay), decay_mask),
        optax.scale_by_learning_rate(learning_rate),
    )
