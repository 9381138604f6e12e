"""How weights start: uniform on +-1/sqrt(fan_in), kernels and linear biases alike."""

import math

import jax
import jax.numpy as jnp
from jax.nn import initializers

# Variance 1 / (3 fan_in) is that of the uniform distribution on +-1/sqrt(fan_in).
uniform_fan_in = initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def make_bias_init(fan_in: int) -> initializers.Initializer:
    """Returns an initializer uniform on +-1/sqrt(fan_in), for the bias of a linear layer."""
    bound = 1 / math.sqrt(fan_in)

    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        del out_sharding
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init
