"""Decoders: latents to the logits of an image."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from qlae.nn.blocks import MLP, ConvBlock, Linear, NormalizedMLP, StyleBlock, shrink
from qlae.nn.convolution import Conv


class StyleDecoder(nnx.Module):
    """A learned constant map, upsampled by blocks that read scale and bias from the latents."""

    def __init__(
        self,
        num_in: int,
        image_shape: tuple[int, int, int],
        *,
        widths: tuple[int, ...],
        kernel_sizes: tuple[int, ...],
        strides: tuple[int, ...],
        dense: tuple[int, ...],
        padding: int = 1,
        dtype: DTypeLike,
    ):
        map_shape = (*shrink(image_shape, strides), widths[0])
        self.mlp = MLP(num_in, dense, dtype=dtype)
        self.input_map = nnx.Param(jnp.full(map_shape, 0.1))
        self.blocks = nnx.List(
            StyleBlock(a, b, k, s, padding, num_style=self.mlp.num_out, dtype=dtype)
            for a, b, k, s in zip(
                (widths[0], *widths[:-1]), widths, kernel_sizes, strides, strict=True
            )
        )
        self.conv = Conv(widths[-1], image_shape[-1], 3, 1, 1, dtype=dtype)

    def style(self, z_BxZ: jax.Array) -> jax.Array:
        """Returns the non-negative style (B, dense[-1]) that conditions every block."""
        return self.mlp(z_BxZ)

    def __call__(self, z_BxZ: jax.Array) -> jax.Array:
        """Returns image logits (B, H, W, C)."""
        style_BxD = self.style(z_BxZ)
        input_map = self.input_map[...].astype(style_BxD.dtype)
        x_BxHxWxC = jnp.broadcast_to(input_map, (z_BxZ.shape[0], *input_map.shape))
        for block in self.blocks:
            x_BxHxWxC = block(x_BxHxWxC, style_BxD)
        return self.conv(x_BxHxWxC)


class ConvDecoder(nnx.Module):
    """Dense layers to a small map, upsampled by normalised transposed convolutions."""

    def __init__(
        self,
        num_in: int,
        image_shape: tuple[int, int, int],
        *,
        widths: tuple[int, ...],
        kernel_sizes: tuple[int, ...],
        strides: tuple[int, ...],
        dense: tuple[int, ...],
        padding: int = 1,
        dtype: DTypeLike,
    ):
        self.map_shape = (*shrink(image_shape, strides), widths[0])
        self.mlp = MLP(num_in, (*dense, math.prod(self.map_shape)), dtype=dtype)
        self.blocks = nnx.List(
            ConvBlock(a, b, k, s, padding, upsample=True, dtype=dtype)
            for a, b, k, s in zip(
                (widths[0], *widths[:-1]), widths, kernel_sizes, strides, strict=True
            )
        )
        self.conv = Conv(widths[-1], image_shape[-1], 1, 1, 0, dtype=dtype)

    def __call__(self, z_BxZ: jax.Array) -> jax.Array:
        """Returns image logits (B, H, W, C)."""
        x_BxHxWxC = self.mlp(z_BxZ).reshape(-1, *self.map_shape)
        for block in self.blocks:
            x_BxHxWxC = block(x_BxHxWxC)
        return self.conv(x_BxHxWxC)


class DenseDecoder(nnx.Module):
    """Dense layers with layer norm, then a linear layer to all pixels."""

    def __init__(
        self,
        num_in: int,
        image_shape: tuple[int, int, int],
        *,
        dense: tuple[int, ...],
        dtype: DTypeLike,
    ):
        self.image_shape = image_shape
        self.mlp = NormalizedMLP(num_in, dense, dtype=dtype)
        self.head = Linear(self.mlp.num_out, math.prod(image_shape), dtype=dtype)

    def __call__(self, z_BxZ: jax.Array) -> jax.Array:
        """Returns image logits (B, H, W, C)."""
        return self.head(self.mlp(z_BxZ)).reshape(-1, *self.image_shape)


DECODERS: dict[str, Callable[..., nnx.Module]] = {
    "conv": ConvDecoder,
    "style": StyleDecoder,
    "dense": DenseDecoder,
}
