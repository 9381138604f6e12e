"""The networks of FactorQVAE (Baykal et al., 2024): residual blocks with a bottleneck, no norms."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from qlae.common.errors import UserError
from qlae.nn.blocks import MLP, LayerList, Linear, shrink
from qlae.nn.convolution import Conv
from qlae.nn.decoders import Decoder
from qlae.nn.encoders import Encoder
from qlae.nn.residual import double

_BLOCKS = 2  # of a group


class Bottleneck(nnx.Module):
    """Four convolutions through a quarter of the width, added to the input by a small gain.

    Args:
        num_in: channels.
        num_out: channels, a multiple of 4.
        kernel_sizes: of the four convolutions, each after a ReLU.
        gain: of what is added.
        deviation: of the kernels at the start.
        dtype: to compute in.
    """

    def __init__(
        self,
        num_in: int,
        num_out: int,
        kernel_sizes: tuple[int, int, int, int],
        *,
        gain: float,
        deviation: float | None,
        dtype: DTypeLike,
    ):
        if num_out % 4:
            raise UserError(f"a bottleneck network's widths are multiples of 4, unlike {num_out}")
        options: dict[str, Any] = {"bias": True, "deviation": deviation, "dtype": dtype}
        widths = (num_in, *(num_out // 4,) * 3, num_out)
        self.convs = LayerList(
            Conv(a, b, k, 1, k // 2, **options)
            for (a, b), k in zip(itertools.pairwise(widths), kernel_sizes, strict=True)
        )
        self.skip = Conv(num_in, num_out, 1, 1, 0, **options) if num_in != num_out else None
        self.gain = gain

    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns (B, H, W, num_out)."""
        y = x_BxHxWxC
        for conv in self.convs:
            y = conv(nnx.relu(y))
        return self.gain * y + (x_BxHxWxC if self.skip is None else self.skip(x_BxHxWxC))


class Group(nnx.Module):
    """The blocks at one size of map."""

    def __init__(self, blocks: list[Bottleneck]):
        self.blocks = LayerList(blocks)

    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns a map of the same size."""
        for block in self.blocks:
            x_BxHxWxC = block(x_BxHxWxC)
        return x_BxHxWxC


class BottleneckEncoder(Encoder):
    """Groups of blocks, halved between them by max pooling; dense layers.

    Images in [0, 1] are moved to [-0.5, 0.5] first, as the authors do.

    Args:
        image_shape: (H, W, C), divisible by 2^(groups - 1).
        num_out: of the head.
        widths: of each group, multiples of 4.
        dense: of the layers after the flattened map.
        deviation: of normal kernels at the start; None starts them uniform within their fan-in.
        dtype: to compute in.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_out: int,
        *,
        widths: tuple[int, ...],
        dense: tuple[int, ...],
        deviation: float | None = None,
        dtype: DTypeLike,
    ):
        options: dict[str, Any] = {"deviation": deviation, "dtype": dtype}
        map_size = math.prod(shrink(image_shape, (2,) * (len(widths) - 1)))
        self.conv = Conv(image_shape[-1], widths[0], 3, 1, 1, bias=True, **options)
        self.groups = _make_groups((widths[0], *widths), (3, 3, 3, 1), **options)
        self.mlp = MLP(map_size * widths[-1], dense, **options)
        self.head = Linear(self.mlp.num_out, num_out, **options)

    def feature_map(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns the last group's output (B, h, w, widths[-1])."""
        x_BxHxWxC = self.conv(x_BxHxWxC - 0.5)
        for index, group in enumerate(self.groups):
            x_BxHxWxC = group(_halve(x_BxHxWxC) if index else x_BxHxWxC)
        return x_BxHxWxC

    def features(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns non-negative features (B, dense[-1])."""
        maps = nnx.relu(self.feature_map(x_BxHxWxC))
        return self.mlp(maps.reshape(maps.shape[0], -1))


class BottleneckDecoder(Decoder):
    """A linear layer to a small map, groups of blocks, doubled between them.

    Args:
        num_in: numbers that stand for an image.
        image_shape: (H, W, C), divisible by 2^(groups - 1).
        widths: of each group, multiples of 4.
        channels: of the small map.
        deviation: as the encoder's.
        dtype: to compute in.
    """

    def __init__(
        self,
        num_in: int,
        image_shape: tuple[int, int, int],
        *,
        widths: tuple[int, ...],
        channels: int,
        deviation: float | None = None,
        dtype: DTypeLike,
    ):
        options: dict[str, Any] = {"deviation": deviation, "dtype": dtype}
        self.map_shape = (*shrink(image_shape, (2,) * (len(widths) - 1)), channels)
        self.project = Linear(num_in, math.prod(self.map_shape), **options)
        self.groups = _make_groups((channels, *widths), (1, 3, 3, 3), **options)
        self.conv = Conv(widths[-1], image_shape[-1], 1, 1, 0, bias=True, **options)

    def activations(self, z_BxD: jax.Array) -> dict[str, jax.Array]:
        """Returns `map`, `group0` and on, `logits`."""
        found = {"map": self.project(z_BxD).reshape(-1, *self.map_shape)}
        x_BxHxWxC = found["map"]
        for index, group in enumerate(self.groups):
            x_BxHxWxC = group(double(x_BxHxWxC) if index else x_BxHxWxC)
            found[f"group{index}"] = x_BxHxWxC
        return found | {"logits": self.conv(nnx.relu(x_BxHxWxC))}


def _make_groups(widths: tuple[int, ...], kernel_sizes: tuple, **options) -> Sequence[Group]:
    gain = (_BLOCKS * (len(widths) - 1)) ** -2
    return LayerList(
        Group(
            [
                Bottleneck(num_in, b, kernel_sizes, gain=gain, **options)
                for num_in in (a, *(b,) * (_BLOCKS - 1))
            ]
        )
        for a, b in itertools.pairwise(widths)
    )


def _halve(x_BxHxWxC: jax.Array) -> jax.Array:
    """Max pooling over 2x2: (B, H / 2, W / 2, C)."""
    # Not by `jnp.max`: its gradient compares with the maximum, which XLA may round otherwise.
    window = (1, 2, 2, 1)
    return jax.lax.reduce_window(x_BxHxWxC, -jnp.inf, jax.lax.max, window, window, "VALID")
