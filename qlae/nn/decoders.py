"""Decoders: latents to the logits of an image."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from qlae.nn.blocks import MLP, ConvBlock, LayerList, Linear, NormalizedMLP, StyleBlock, shrink
from qlae.nn.convolution import Conv
from qlae.nn.patches import unfold


class Decoder(nnx.Module):
    """The interface: the activations of a stack of layers, the last of them the image's logits."""

    def activations(self, z_BxD: jax.Array) -> dict[str, jax.Array]:
        """Returns activations by name, in order, `logits` (B, H, W, C) last.

        They are what computing the logits takes anyway: whoever reads those alone pays for no more.
        """
        raise NotImplementedError

    def __call__(self, z_BxD: jax.Array) -> jax.Array:
        """Returns image logits (B, H, W, C), in the compute dtype."""
        return self.activations(z_BxD)["logits"]


class StyleDecoder(Decoder):
    """A learned constant map, upsampled by blocks that read scale and bias from the latents.

    Args:
        num_in: numbers that stand for an image.
        image_shape: (H, W, C), divisible by `patch` and all strides.
        widths: channels of each block, the first of them of the constant map, too.
        kernel_sizes: of each block.
        strides: of each block.
        dense: of the layers before the style.
        padding: of each block.
        patch: the last convolution gives patches of this height and width for pixels.
        dtype: to compute in.
    """

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
        patch: int = 1,
        dtype: DTypeLike,
    ):
        self.patch = patch
        map_shape = (*shrink(image_shape, (patch, *strides)), widths[0])
        self.mlp = MLP(num_in, dense, dtype=dtype)
        self.input_map = nnx.Param(jnp.full(map_shape, 0.1))
        self.blocks = LayerList(
            StyleBlock(a, b, k, s, padding, num_style=self.mlp.num_out, dtype=dtype)
            for a, b, k, s in zip(
                (widths[0], *widths[:-1]), widths, kernel_sizes, strides, strict=True
            )
        )
        self.conv = Conv(widths[-1], image_shape[-1] * patch**2, 3, 1, 1, dtype=dtype)

    def style(self, z_BxD: jax.Array) -> jax.Array:
        """Returns the non-negative style (B, dense[-1]) that conditions every block."""
        return self.mlp(z_BxD)

    def activations(self, z_BxD: jax.Array) -> dict[str, jax.Array]:
        """Returns `style`, `block0` and on, `logits`."""
        style_BxD = self.style(z_BxD)
        # One map for all: up to the first style, every image's would be the same.
        x_BxHxWxC = self.input_map[...].astype(style_BxD.dtype)[None]
        found = {"style": style_BxD}
        for index, block in enumerate(self.blocks):
            found[f"block{index}"] = x_BxHxWxC = block(x_BxHxWxC, style_BxD)
        return found | {"logits": unfold(self.conv(x_BxHxWxC), self.patch)}


class ConvDecoder(Decoder):
    """Dense layers to a small map, upsampled by normalised transposed convolutions.

    It takes what `StyleDecoder` takes; `dense` are the layers before the map.
    """

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
        patch: int = 1,
        dtype: DTypeLike,
    ):
        self.patch = patch
        self.map_shape = (*shrink(image_shape, (patch, *strides)), widths[0])
        self.mlp = MLP(num_in, (*dense, math.prod(self.map_shape)), dtype=dtype)
        self.blocks = LayerList(
            ConvBlock(a, b, k, s, padding, upsample=True, dtype=dtype)
            for a, b, k, s in zip(
                (widths[0], *widths[:-1]), widths, kernel_sizes, strides, strict=True
            )
        )
        self.conv = Conv(widths[-1], image_shape[-1] * patch**2, 1, 1, 0, dtype=dtype)

    def activations(self, z_BxD: jax.Array) -> dict[str, jax.Array]:
        """Returns `map`, `block0` and on, `logits`."""
        found = {"map": self.mlp(z_BxD).reshape(-1, *self.map_shape)}
        x_BxHxWxC = found["map"]
        for index, block in enumerate(self.blocks):
            found[f"block{index}"] = x_BxHxWxC = block(x_BxHxWxC)
        return found | {"logits": unfold(self.conv(x_BxHxWxC), self.patch)}


class DenseDecoder(Decoder):
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

    def activations(self, z_BxD: jax.Array) -> dict[str, jax.Array]:
        """Returns `features` (B, dense[-1]) and `logits`."""
        features_BxD = self.mlp(z_BxD)
        logits = self.head(features_BxD).reshape(-1, *self.image_shape)
        return {"features": features_BxD, "logits": logits}
