"""Normalisation layers; statistics are reduced in float32 or wider, whatever the compute dtype."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

EPSILON = 1e-6


class Norm(nnx.Module):
    """Subtracts the mean over some axes and divides by the standard deviation, then an affine map.

    Attributes:
        scale: (num_features,) from 1, or None without an affine map.
        bias: (num_features,) from 0, or None.
    """

    axes: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        *,
        affine: bool = True,
        epsilon: float = EPSILON,
        dtype: DTypeLike,
    ):
        self.scale = nnx.Param(jnp.ones(num_features)) if affine else None
        self.bias = nnx.Param(jnp.zeros(num_features)) if affine else None
        self.epsilon = epsilon
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns the normalised features, shaped like x, in the compute dtype."""
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        centered = x - x.mean(self.axes, keepdims=True)
        # Two passes: one pass loses the variance of features whose mean is large.
        variance = jnp.square(centered).mean(self.axes, keepdims=True)
        gain = jax.lax.rsqrt(variance + self.epsilon)
        if self.scale is None or self.bias is None:
            return (centered * gain).astype(self.dtype)
        return (centered * (gain * self.scale[...]) + self.bias[...]).astype(self.dtype)


class LayerNorm(Norm):
    """Normalises each row of (B, D) over its features."""

    axes = (-1,)


class InstanceNorm(Norm):
    """Normalises each image and channel of (B, H, W, C) over H and W."""

    axes = (1, 2)
