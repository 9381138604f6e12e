"""The blocks that encoders and decoders are stacked from (paper, appendix on architectures).

Every block computes in `dtype` and keeps float32 parameters; normalisation statistics are always
reduced in float32 or wider.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from qlae.common.errors import UserError
from qlae.nn.convolution import Conv, ConvTranspose
from qlae.nn.init import declare_layer
from qlae.nn.norm import EPSILON, InstanceNorm, LayerNorm

LEAK = 0.2
# Layers that are called in turn; Flax before 0.12 keeps them in plain lists.
LayerList: Any = getattr(nnx, "List", list)


class Linear(nnx.Module):
    """A linear layer: (..., num_in) to (..., num_out); it starts as `declare_layer` says."""

    precision: jax.lax.Precision | None = None

    def __init__(
        self, num_in: int, num_out: int, *, deviation: float | None = None, dtype: DTypeLike
    ):
        self.kernel, self.bias = declare_layer((num_in, num_out), deviation)
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns the features, in the module's compute dtype."""
        x, kernel, bias = (a.astype(self.dtype) for a in (x, self.kernel[...], self.bias[...]))
        return jnp.matmul(x, kernel, precision=self.precision) + bias


def shrink(image_shape: tuple[int, int, int], strides: tuple[int, ...]) -> tuple[int, int]:
    """Returns height and width of the smallest map, an image's divided by all strides.

    Raises:
        UserError: the strides do not divide them.
    """
    height, width, _ = image_shape
    factor = math.prod(strides)
    if height % factor or width % factor:
        raise UserError(
            f"images of {height}x{width} do not divide by {factor}, the product of the network's "
            "strides: choose config.data.image_size, or the strides, to fit"
        )
    return height // factor, width // factor


def leak(x: jax.Array) -> jax.Array:
    """Leaky ReLU with the slope of all networks here."""
    return nnx.leaky_relu(x, LEAK)


class MLP(nnx.Module):
    """Linear layers, each followed by ReLU or the like: (B, num_in) to (B, widths[-1])."""

    def __init__(
        self,
        num_in: int,
        widths: tuple[int, ...],
        *,
        activation: Callable[[jax.Array], jax.Array] = nnx.relu,
        deviation: float | None = None,
        dtype: DTypeLike,
    ):
        sizes = (num_in, *widths)
        self.layers = LayerList(
            Linear(a, b, deviation=deviation, dtype=dtype) for a, b in itertools.pairwise(sizes)
        )
        self.activation = activation
        self.num_out = sizes[-1]

    def __call__(self, x_BxD: jax.Array) -> jax.Array:
        """Returns features (B, num_out)."""
        for layer in self.layers:
            x_BxD = self.activation(layer(x_BxD))
        return x_BxD


class NormalizedMLP(nnx.Module):
    """Linear layers, each followed by layer norm and ReLU or the like."""

    def __init__(
        self,
        num_in: int,
        widths: tuple[int, ...],
        *,
        activation: Callable[[jax.Array], jax.Array] = nnx.relu,
        epsilon: float = EPSILON,
        dtype: DTypeLike,
    ):
        sizes = (num_in, *widths)
        self.layers = LayerList(Linear(a, b, dtype=dtype) for a, b in itertools.pairwise(sizes))
        self.norms = LayerList(LayerNorm(b, epsilon=epsilon, dtype=dtype) for b in widths)
        self.activation = activation
        self.num_out = sizes[-1]

    def __call__(self, x_BxD: jax.Array) -> jax.Array:
        """Returns features (B, num_out) of rows (B, num_in)."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x_BxD = self.activation(norm(layer(x_BxD)))
        return x_BxD


class ConvBlock(nnx.Module):
    """Convolution, affine instance norm, leaky ReLU; transposed when `upsample`."""

    def __init__(
        self,
        num_in: int,
        num_out: int,
        kernel_size: int,
        stride: int,
        padding: int,
        *,
        upsample: bool = False,
        dtype: DTypeLike,
    ):
        make = ConvTranspose if upsample else Conv
        self.conv = make(num_in, num_out, kernel_size, stride, padding, dtype=dtype)
        self.norm = InstanceNorm(num_out, dtype=dtype)

    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns (B, H', W', num_out)."""
        return leak(self.norm(self.conv(x_BxHxWxC)))


class StyleBlock(nnx.Module):
    """Transposed convolution, leaky ReLU, instance norm, then a scale and bias read from a style.

    Scale and bias go through a ReLU, so both are non-negative: unusual, and what the authors do.
    """

    def __init__(
        self,
        num_in: int,
        num_out: int,
        kernel_size: int,
        stride: int,
        padding: int,
        *,
        num_style: int,
        dtype: DTypeLike,
    ):
        self.conv = ConvTranspose(num_in, num_out, kernel_size, stride, padding, dtype=dtype)
        self.norm = InstanceNorm(num_out, affine=False, dtype=dtype)
        self.modulation = Linear(num_style, 2 * num_out, dtype=dtype)

    def __call__(self, x_BxHxWxC: jax.Array, style_BxD: jax.Array) -> jax.Array:
        """Returns (B, H * stride, W * stride, num_out)."""
        modulation = nnx.relu(self.modulation(style_BxD))[:, None, None, :]
        scale, bias = jnp.split(modulation, 2, axis=-1)
        return self.norm(leak(self.conv(x_BxHxWxC))) * scale + bias
