"""How parameters start: layers state constants and bounds, and one draw fills a whole model."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx


def declare_uniform(
    shape: Sequence[int], bound: float, kind: type[nnx.Param] = nnx.Param
) -> nnx.Param:
    """Returns a parameter that is to be uniform on +-bound: zeros until `draw_params`."""
    return kind(jnp.zeros(shape), bound=bound)


def declare_normal(
    shape: Sequence[int], deviation: float, kind: type[nnx.Param] = nnx.Param
) -> nnx.Param:
    """Returns a parameter that is to be normal around 0: zeros until `draw_params`."""
    return kind(jnp.zeros(shape), deviation=deviation)


def declare_layer(
    kernel_shape: Sequence[int], deviation: float | None = None
) -> tuple[nnx.Param, nnx.Param]:
    """Returns kernel (..., O) and bias (O,) of a layer, both uniform on +-1/sqrt(fan_in).

    With a deviation the kernel is normal instead, and the bias starts at zero.
    """
    num_out = kernel_shape[-1]
    if deviation is not None:
        return declare_normal(kernel_shape, deviation), nnx.Param(jnp.zeros(num_out))
    bound = 1 / math.sqrt(math.prod(kernel_shape[:-1]))
    return declare_uniform(kernel_shape, bound), declare_uniform((num_out,), bound)


def draw_params(model: nnx.Module, key: jax.Array) -> None:
    """Draws in place every parameter that `declare_uniform` or `declare_normal` made.

    All of a kind are slices of one draw, in the order of their paths: a random draw is a program of
    its own to XLA, and compiling one for each layer takes longer than compiling the train step.

    Args:
        model: as its constructor left it.
        key: () typed random key.
    """
    uniform = functools.partial(jax.random.uniform, key, minval=-1, maxval=1)
    normal = functools.partial(jax.random.normal, jax.random.fold_in(key, 1))
    for scale, draw in (("bound", uniform), ("deviation", normal)):
        params = nnx.to_flat_state(nnx.state(model, nnx.Param))
        declared = [(path, param) for path, param in params if scale in param.get_metadata()]
        if not declared:
            continue
        ends = np.cumsum([param.size for _, param in declared])
        pieces = jnp.split(draw((ends[-1],)), ends[:-1])
        drawn = [
            (path, param.replace(param.get_metadata()[scale] * piece.reshape(param.shape)))
            for (path, param), piece in zip(declared, pieces, strict=True)
        ]
        nnx.update(model, nnx.from_flat_state(drawn))
