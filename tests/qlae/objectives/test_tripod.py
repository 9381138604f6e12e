"""Tripod's terms: exact in bfloat16 models, absent at weight 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from qlae.latents.base import Codes
from qlae.nn.decoders import Decoder
from qlae.nn.residual import ResidualDecoder
from qlae.objectives import tripod
from qlae.objectives.forward import Forward, Probe

KEY = jax.random.key(0)


class Polynomial(Decoder):
    """A decoder whose second derivatives are known: x = [a z0 z1 + b z2^2]."""

    def __init__(self, mixed: float, square: float):
        self.mixed, self.square = mixed, square
        self.dtype = jnp.bfloat16

    def activations(self, z_BxD):
        z = z_BxD.astype(self.dtype)
        return {"logits": self.mixed * z[:, :1] * z[:, 1:2] + self.square * z[:, 2:] ** 2}


def show(decoder, directions, names=("logits",), size=32, weight=1.0):
    z = jax.random.normal(KEY, (size, 3))
    keys = jax.random.split(KEY)
    draws = {
        "rademacher": jax.random.rademacher(keys[0], (size, directions, 3), float),
        "normal": jax.random.normal(keys[1], (size, directions, 3)),
    }
    image = jnp.zeros((size, 1, 1, 1))
    weights = dict.fromkeys(tripod.PENALTIES, jnp.asarray(weight))
    probe = Probe(directions, 0.1, names)
    return Forward(Codes(z, z), image, image, 1, decoder, draws, probe, weights)


@pytest.mark.heavy
def test_signs_see_mixed_derivatives_alone_whatever_the_model_computes_in():
    forward = show(Polynomial(mixed=0.0, square=3.0), 4)
    assert jnp.abs(tripod.compute_hessian_penalty(forward)) < 1e-3
    forward = show(Polynomial(mixed=2.0, square=3.0), 400)
    # 2 H_01 r_0 r_1 s_0 s_1 has the variance of a sign times its size.
    expected = (2 * 2.0 * forward.spread[0] * forward.spread[1]) ** 2
    np.testing.assert_allclose(tripod.compute_hessian_penalty(forward), expected, rtol=0.02)


def test_scaling_the_decoder_leaves_the_normalised_penalty():
    penalties = [
        tripod.compute_normalized_hessian_penalty(show(Polynomial(2.0 * scale, 3.0 * scale), 8))
        for scale in (1.0, 10.0)
    ]
    np.testing.assert_allclose(*penalties, rtol=1e-3)


def test_a_weight_of_zero_takes_no_pass_through_the_decoder():
    calls = []

    class Counting(Polynomial):
        def activations(self, z_BxD):
            jax.debug.callback(lambda: calls.append(1))
            return super().activations(z_BxD)

    for weight, expected in ((0.0, 0), (1.0, 1)):
        forward = show(Counting(1.0, 1.0), 2, weight=weight)
        value = tripod.skip_at_zero("hessian_penalty", forward)
        jax.effects_barrier()
        assert len(calls) == expected
        assert bool(value != 0) == bool(expected)


def test_multi_information_grows_with_dependence():
    independent = jax.random.normal(KEY, (64, 2))
    dependent = jnp.repeat(independent[:, :1], 2, axis=1)
    image = jnp.zeros((64, 1, 1, 1))
    values = [
        tripod.compute_multi_information(Forward(Codes(z, z), image, image, 1))
        for z in (independent, dependent)
    ]
    assert values[1] > values[0] + 0.3


def test_a_latent_that_never_varies_has_finite_gradients():
    z = jnp.ones((8, 2)).at[:, 0].set(jnp.arange(8.0))
    image = jnp.zeros((8, 1, 1, 1))
    grads = jax.grad(
        lambda z: tripod.compute_multi_information(Forward(Codes(z, z), image, image, 1))
    )(z)
    assert jnp.isfinite(grads).all()


@pytest.mark.heavy
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_an_exact_copy_computes_in_float32_and_leaves_the_original(dtype):
    decoder = ResidualDecoder(3, (8, 8, 3), widths=(4, 4), dense=(8,), dtype=dtype)
    exact = tripod.make_exact(decoder)
    z = jax.random.normal(KEY, (2, 3))
    assert {str(x.dtype) for x in exact.activations(z).values()} == {"float32"}
    assert {x.dtype for x in decoder.activations(z).values()} == {jnp.dtype(dtype)}
    assert list(decoder.activations(z)) == ["condition", "block0", "logits"]
    same = jax.tree.map(
        jnp.array_equal,
        nnx.to_pure_dict(nnx.state(decoder, nnx.Param)),
        nnx.to_pure_dict(nnx.state(exact, nnx.Param)),
    )
    assert all(jax.tree.leaves(same))
