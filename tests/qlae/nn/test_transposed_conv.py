"""The transposed convolution against XLA's own rule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from qlae.nn.transposed_conv import transposed_conv


def xla_rule(x, kernel, stride, padding):
    outer = kernel.shape[0] - 1 - padding
    return lax.conv_general_dilated(
        x, kernel, (1, 1), [(outer, outer)] * 2, lhs_dilation=(stride, stride),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (4, 2), (1, 1)])
def test_value_and_gradients_equal_xlas(size, stride):
    padding = 0 if size == 1 else 1
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (2, 5, 6, 3))
    kernel = jax.random.normal(keys[1], (size, size, 3, 4))
    y, pull = jax.vjp(lambda x, k: transposed_conv(x, k, stride, padding), x, kernel)
    y_xla, pull_xla = jax.vjp(lambda x, k: xla_rule(x, k, stride, padding), x, kernel)
    assert y.shape == (2, 5 * stride, 6 * stride, 4)
    y_bar = jax.random.normal(keys[2], y.shape)
    np.testing.assert_allclose(y, y_xla, rtol=1e-6, atol=1e-5)
    for ours, theirs in zip(pull(y_bar), pull_xla(y_bar), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


def test_equals_flax_conv_transpose_without_transposed_kernel():
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 2))
    kernel = jax.random.normal(jax.random.key(1), (4, 4, 2, 3))
    theirs = lax.conv_transpose(
        x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(transposed_conv(x, kernel, 2, 1), theirs, rtol=1e-5, atol=1e-5)


def test_can_be_differentiated_twice():
    x = jax.random.normal(jax.random.key(0), (1, 3, 3, 2))
    kernel = jax.random.normal(jax.random.key(1), (4, 4, 2, 2))

    def penalty(kernel, rule):
        return jnp.sum(jax.grad(lambda x: jnp.sum(rule(x, kernel, 2, 1) ** 3))(x) ** 2)

    ours, theirs = (jax.grad(penalty)(kernel, rule) for rule in (transposed_conv, xla_rule))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
