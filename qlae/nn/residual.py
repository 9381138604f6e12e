"""The residual networks of Tripod (Hsu et al., 2024): instance norm, GELU, conditioned decoding."""

import itertools

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from qlae.nn.blocks import LayerList, Linear, NormalizedMLP, shrink
from qlae.nn.convolution import Conv
from qlae.nn.decoders import Decoder
from qlae.nn.encoders import Encoder
from qlae.nn.norm import InstanceNorm
from qlae.nn.patches import fold

_EPSILON = 1e-5
_BLOCKS = 2  # of a level; a block has as many units


def double(x_BxHxWxC: jax.Array) -> jax.Array:
    """Returns maps of twice the size, each number repeated (nearest neighbour)."""
    return x_BxHxWxC.repeat(2, axis=1).repeat(2, axis=2)


class Unit(nnx.Module):
    """Convolution, affine instance norm, GELU: (B, H, W, I) to (B, H, W, O)."""

    def __init__(self, num_in: int, num_out: int, *, dtype: DTypeLike):
        self.conv = Conv(num_in, num_out, 3, 1, 1, bias=True, dtype=dtype)
        self.norm = InstanceNorm(num_out, epsilon=_EPSILON, dtype=dtype)

    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns (B, H, W, num_out)."""
        return nnx.gelu(self.norm(self.conv(x_BxHxWxC)))


class ConditionalUnit(nnx.Module):
    """As `Unit`, its norm's scale (less 1) and shift read from a condition."""

    def __init__(self, num_channels: int, num_condition: int, *, dtype: DTypeLike):
        self.conv = Conv(num_channels, num_channels, 3, 1, 1, bias=True, dtype=dtype)
        self.norm = InstanceNorm(num_channels, affine=False, epsilon=_EPSILON, dtype=dtype)
        self.modulation = Linear(num_condition, 2 * num_channels, dtype=dtype)

    def __call__(self, x_BxHxWxC: jax.Array, condition_BxD: jax.Array) -> jax.Array:
        """Returns an array shaped like x."""
        modulation = self.modulation(condition_BxD)[:, None, None, :]
        scale, shift = jnp.split(modulation, 2, axis=-1)
        return nnx.gelu(self.norm(self.conv(x_BxHxWxC)) * (1 + scale) + shift)


class Residual(nnx.Module):
    """Units around which the input passes, by a 1x1 convolution where the width changes."""

    def __init__(self, units: list[nnx.Module], skip: Conv | None = None):
        self.units = LayerList(units)
        self.skip = skip

    def __call__(self, x_BxHxWxC: jax.Array, *condition: jax.Array) -> jax.Array:
        """Returns (B, H, W, num_out)."""
        y = x_BxHxWxC
        for unit in self.units:
            y = unit(y, *condition)
        return y + (x_BxHxWxC if self.skip is None else self.skip(x_BxHxWxC))


class Level(nnx.Module):
    """The residual blocks at one size of map, and the convolution that leads to the next."""

    def __init__(self, blocks: list[Residual], conv: Conv):
        self.blocks = LayerList(blocks)
        self.conv = conv

    def __call__(self, x_BxHxWxC: jax.Array, *condition: jax.Array) -> jax.Array:
        """Returns what the blocks make of the map, at its size."""
        for block in self.blocks:
            x_BxHxWxC = block(x_BxHxWxC, *condition)
        return x_BxHxWxC


class ResidualEncoder(Encoder):
    """Levels of residual blocks, each folded to half the size; their mean over the map; layers.

    Images in [0, 1] are mapped to [-1, 1] first, as the paper has it.

    Args:
        image_shape: (H, W, C), divisible by 2^(levels).
        num_out: of the head.
        widths: of each level, and of the last folded map.
        dense: of the layers after the mean, each with layer norm and GELU.
        dtype: to compute in.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_out: int,
        *,
        widths: tuple[int, ...],
        dense: tuple[int, ...],
        dtype: DTypeLike,
    ):
        shrink(image_shape, (2,) * (len(widths) - 1))
        self.levels = LayerList(
            _make_encoder_level(image_shape[-1] if index == 0 else a, a, b, dtype)
            for index, (a, b) in enumerate(itertools.pairwise(widths))
        )
        self.mlp = NormalizedMLP(
            widths[-1], dense, activation=nnx.gelu, epsilon=_EPSILON, dtype=dtype
        )
        self.head = Linear(self.mlp.num_out, num_out, dtype=dtype)

    def feature_map(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns the last folded map (B, h, w, widths[-1])."""
        x_BxHxWxC = 2 * x_BxHxWxC - 1
        for level in self.levels:
            x_BxHxWxC = level.conv(fold(level(x_BxHxWxC), 2))
        return x_BxHxWxC

    def features(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns features (B, dense[-1])."""
        return self.mlp(self.feature_map(x_BxHxWxC).mean(axis=(1, 2)))


class ResidualDecoder(Decoder):
    """A learned constant map, doubled by levels of residual blocks that a condition modulates.

    Args:
        num_in: numbers that stand for an image.
        image_shape: (H, W, C), divisible by 2^(levels).
        widths: of each level.
        dense: of the layers from which the condition comes, each with layer norm and GELU.
        dtype: to compute in.
    """

    def __init__(
        self,
        num_in: int,
        image_shape: tuple[int, int, int],
        *,
        widths: tuple[int, ...],
        dense: tuple[int, ...],
        dtype: DTypeLike,
    ):
        map_shape = (*shrink(image_shape, (2,) * len(widths)), widths[0])
        self.mlp = NormalizedMLP(num_in, dense, activation=nnx.gelu, epsilon=_EPSILON, dtype=dtype)
        self.input_map = nnx.Param(jnp.ones(map_shape))
        self.levels = LayerList(
            _make_decoder_level(a, b, self.mlp.num_out, dtype)
            for a, b in itertools.pairwise((*widths, image_shape[-1]))
        )

    def activations(self, z_BxD: jax.Array) -> dict[str, jax.Array]:
        """Returns `condition`, `block0` and on, one a level, `logits`."""
        condition_BxD = self.mlp(z_BxD)
        input_map = self.input_map[...].astype(condition_BxD.dtype)
        x_BxHxWxC = jnp.broadcast_to(input_map, (z_BxD.shape[0], *input_map.shape))
        names = (*(f"block{index}" for index in range(len(self.levels) - 1)), "logits")
        found = {"condition": condition_BxD}
        for name, level in zip(names, self.levels, strict=True):
            found[name] = x_BxHxWxC = level.conv(double(level(x_BxHxWxC, condition_BxD)))
        return found


def _make_encoder_level(num_in: int, width: int, num_out: int, dtype: DTypeLike) -> Level:
    blocks = []
    for index in range(_BLOCKS):
        widths = (num_in if index == 0 else width, *(width,) * _BLOCKS)
        units: list[nnx.Module] = [Unit(a, b, dtype=dtype) for a, b in itertools.pairwise(widths)]
        changes = widths[0] != width
        skip = Conv(widths[0], width, 1, 1, 0, bias=True, dtype=dtype) if changes else None
        blocks.append(Residual(units, skip))
    return Level(blocks, Conv(4 * width, num_out, 1, 1, 0, bias=True, dtype=dtype))


def _make_decoder_level(width: int, num_out: int, num_condition: int, dtype: DTypeLike) -> Level:
    blocks = [
        Residual([ConditionalUnit(width, num_condition, dtype=dtype) for _ in range(_BLOCKS)])
        for _ in range(_BLOCKS)
    ]
    return Level(blocks, Conv(width, num_out, 3, 1, 1, bias=True, dtype=dtype))
