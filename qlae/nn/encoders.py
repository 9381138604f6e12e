"""Encoders: an image to features, and by a linear head to what the latents read."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from qlae.nn.blocks import MLP, ConvBlock, LayerList, Linear, NormalizedMLP, shrink
from qlae.nn.patches import fold


def widen(x: jax.Array) -> jax.Array:
    """Returns the array in float32, or as it is if wider."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class Encoder(nnx.Module):
    """The interface: features of an image, and a linear head on them."""

    mlp: MLP | NormalizedMLP
    head: Linear

    def features(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns features (B, dense[-1])."""
        raise NotImplementedError

    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns the head's output (B, num_out), which latents turn into codes."""
        return self.read_head(self.features(x_BxHxWxC))

    def read_head(self, features_BxD: jax.Array) -> jax.Array:
        """Returns the head's output for features, in float32 at least: losses are summed there."""
        return widen(self.head(features_BxD))


class ConvEncoder(Encoder):
    """Convolution blocks, dense layers and a linear head: images (B, H, W, C) to (B, num_out).

    Args:
        image_shape: (H, W, C), divisible by `patch` and all strides.
        num_out: of the head.
        widths: channels of each block.
        kernel_sizes: of each block.
        strides: of each block.
        dense: of the layers after the flattened map.
        padding: of each block.
        patch: the blocks read patches of this height and width as if they were pixels.
        dtype: to compute in.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_out: int,
        *,
        widths: tuple[int, ...],
        kernel_sizes: tuple[int, ...],
        strides: tuple[int, ...],
        dense: tuple[int, ...],
        padding: int = 1,
        patch: int = 1,
        dtype: DTypeLike,
    ):
        self.patch = patch
        inputs = (image_shape[-1] * patch**2, *widths[:-1])
        self.blocks = LayerList(
            ConvBlock(a, b, k, s, padding, dtype=dtype)
            for a, b, k, s in zip(inputs, widths, kernel_sizes, strides, strict=True)
        )
        num_flat = math.prod(shrink(image_shape, (patch, *strides))) * widths[-1]
        self.mlp = MLP(num_flat, dense, dtype=dtype)
        self.head = Linear(self.mlp.num_out, num_out, dtype=dtype)

    def feature_map(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns the last convolution block's output (B, h, w, widths[-1])."""
        x_BxHxWxC = fold(x_BxHxWxC, self.patch)
        for block in self.blocks:
            x_BxHxWxC = block(x_BxHxWxC)
        return x_BxHxWxC

    def features(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns non-negative features (B, dense[-1])."""
        maps = self.feature_map(x_BxHxWxC)
        return self.mlp(maps.reshape(maps.shape[0], -1))


class DenseEncoder(Encoder):
    """Flattened pixels through dense layers with layer norm: (B, H, W, C) to (B, num_out)."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_out: int,
        *,
        dense: tuple[int, ...],
        dtype: DTypeLike,
    ):
        self.mlp = NormalizedMLP(math.prod(image_shape), dense, dtype=dtype)
        self.head = Linear(self.mlp.num_out, num_out, dtype=dtype)

    def features(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns non-negative features (B, dense[-1])."""
        return self.mlp(x_BxHxWxC.reshape(x_BxHxWxC.shape[0], -1))
