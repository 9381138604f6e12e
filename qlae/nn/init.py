"""How parameters start: layers state the constants and the bounds, one draw fills a whole model."""

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


def draw_params(model: nnx.Module, key: jax.Array) -> None:
    """Draws in place every parameter that `declare_uniform` made.

    All of them are slices of one draw, in the order of their paths: a random draw is a program of
    its own to XLA, and compiling one for each layer takes longer than compiling the train step.

    Args:
        model: as its constructor left it.
        key: () typed random key.
    """
    params = nnx.to_flat_state(nnx.state(model, nnx.Param))
    declared = [(path, param) for path, param in params if "bound" in param.get_metadata()]
    ends = np.cumsum([param.size for _, param in declared])
    numbers = jax.random.uniform(key, (ends[-1],), minval=-1, maxval=1)
    drawn = [
        (path, param.replace(param.bound * piece.reshape(param.shape)))
        for (path, param), piece in zip(declared, jnp.split(numbers, ends[:-1]), strict=True)
    ]
    nnx.update(model, nnx.from_flat_state(drawn))
