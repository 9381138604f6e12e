"""Copies of networks that compute exactly."""

from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

_Network = TypeVar("_Network", bound=nnx.Module)


def make_exact(module: _Network) -> _Network:
    """Returns a copy with the same parameters that computes in float32 at least.

    Not in bfloat16, and not with the shortened float32 products that accelerators prefer.
    """
    twin = nnx.merge(*nnx.split(module))
    for _, part in nnx.iter_modules(twin):
        if hasattr(part, "dtype"):
            part.dtype = jnp.promote_types(part.dtype, jnp.float32)
        if hasattr(part, "precision"):
            part.precision = jax.lax.Precision.HIGHEST
    return twin
