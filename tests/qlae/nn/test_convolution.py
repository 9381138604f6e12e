"""The two convolutions against XLA's own rules, to second order."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from qlae.nn.convolution import conv, transposed_conv

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def xla_conv(x, kernel, stride, padding):
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), [(padding, padding)] * 2, dimension_numbers=DIMENSIONS
    )


def xla_transposed_conv(x, kernel, stride, padding):
    outer = kernel.shape[0] - 1 - padding
    return lax.conv_general_dilated(
        x, kernel, (1, 1), [(outer, outer)] * 2, lhs_dilation=(stride, stride),
        dimension_numbers=DIMENSIONS,
    )  # fmt: skip


PAIRS = [(conv, xla_conv), (transposed_conv, xla_transposed_conv)]
SIZES = [(3, 1, 1), (4, 2, 1), (1, 1, 0)]


@pytest.mark.heavy
@pytest.mark.parametrize(("size", "stride", "padding"), SIZES)
@pytest.mark.parametrize(("ours", "xlas"), PAIRS, ids=["conv", "transposed"])
def test_value_and_gradients_equal_xlas(ours, xlas, size, stride, padding):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (2, 4, 6, 3))
    kernel = jax.random.normal(keys[1], (size, size, 3, 4))
    y, pull = jax.vjp(lambda x, k: ours(x, k, stride, padding), x, kernel)
    y_xla, pull_xla = jax.vjp(lambda x, k: xlas(x, k, stride, padding), x, kernel)
    np.testing.assert_allclose(y, y_xla, rtol=1e-6, atol=1e-5)
    y_bar = jax.random.normal(keys[2], y.shape)
    for a, b in zip(pull(y_bar), pull_xla(y_bar), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("ours", "xlas"), PAIRS, ids=["conv", "transposed"])
def test_second_gradients_equal_xlas(ours, xlas):
    """As in a gradient penalty: the kernel's gradient of a function of the input's gradient."""
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 2))
    kernel = jax.random.normal(jax.random.key(1), (4, 4, 2, 2))

    def penalty(x, kernel, rule):
        return jnp.sum(jax.grad(lambda x: jnp.sum(rule(x, kernel, 2, 1) ** 3))(x) ** 2)

    for a, b in zip(
        *(jax.grad(penalty, argnums=(0, 1))(x, kernel, rule) for rule in (ours, xlas)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3 * float(jnp.abs(b).max()))


def test_equals_flax_conv_transpose_without_transposed_kernel():
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 2))
    kernel = jax.random.normal(jax.random.key(1), (4, 4, 2, 3))
    theirs = lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=DIMENSIONS)
    np.testing.assert_allclose(transposed_conv(x, kernel, 2, 1), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rule", [conv, transposed_conv])
def test_a_branch_computes_gradients_with_the_fast_kernels_too(rule):
    """XLA:CPU has them for one order of axes, and brings others into it outside branches alone."""

    def loss(kernel, x):
        return jnp.sum(rule(x, kernel, 2, 1) ** 2)

    def step(moves, kernel, x):
        return lax.cond(moves, jax.grad(loss), lambda kernel, x: kernel, kernel, x)

    shapes = True, jnp.zeros((4, 4, 8, 8)), jnp.zeros((2, 8, 8, 8))
    program = jax.jit(step).lower(*shapes).compile().as_text()
    orders = re.findall(r"dim_labels=(\S+?)[,\s]", program)
    assert orders
    assert set(orders) == {"b01f_01io->b01f"}


@pytest.mark.parametrize("rule", [conv, transposed_conv])
def test_images_get_a_fourth_channel_on_cpu_alone(rule):
    x, kernel = jnp.zeros((2, 8, 8, 3)), jnp.zeros((3, 3, 3, 8))
    traced = jax.jit(lambda x, kernel: rule(x, kernel, 1, 1)).trace(x, kernel)
    filled = {
        platform: "stablehlo.pad" in traced.lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "tpu", "cuda")
    }
    assert filled == {"cpu": True, "tpu": False, "cuda": False}
