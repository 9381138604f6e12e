"""Loss terms against plain numpy, and the gradient penalty where it is not smooth."""

import jax
import jax.numpy as jnp
import numpy as np

from qlae.latents.base import Codes
from qlae.objectives import terms
from qlae.objectives.forward import Forward
from qlae.objectives.info_gan import compute_gradient_penalty

RNG = np.random.default_rng(0)
PIXELS = (2, 2, 3)


def show(codes, dataset_size=1000):
    """A pass through a model of which only the codes matter."""
    image = jnp.zeros((len(codes.z_hat), *PIXELS))
    return Forward(codes, image, image, dataset_size)


def test_reconstruction_is_the_mean_cross_entropy_of_soft_targets():
    logits = RNG.normal(size=(2, 4, 4, 3)).astype(np.float32)
    image = RNG.uniform(size=logits.shape).astype(np.float32)
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = -(image * np.log(p) + (1 - image) * np.log1p(-p)).mean()
    forward = Forward(None, jnp.asarray(image), jnp.asarray(logits), 1)
    np.testing.assert_allclose(terms.compute_reconstruction(forward), expected, rtol=1e-5)


def test_quantize_moves_the_codebook_and_commit_the_encoder():
    z, q = jnp.asarray(RNG.normal(size=(2, 5, 3)))

    def term(function, z, q):
        return function(show(Codes(z_hat=z, z_continuous=z, z_quantized=q)))

    for function, moves_z in ((terms.compute_quantize, False), (terms.compute_commit, True)):
        np.testing.assert_allclose(term(function, z, q), ((z - q) ** 2).mean(), rtol=1e-6)
        to_z, to_q = jax.grad(lambda z, q, f=function: term(f, z, q), argnums=(0, 1))(z, q)
        assert bool(to_z.any()) == moves_z
        assert bool(to_q.any()) != moves_z


def test_kl_is_zero_for_the_prior_and_summed_over_latents():
    zeros, ones = jnp.zeros((6, 4)), jnp.ones((6, 4))
    assert terms.compute_kl(show(Codes(zeros, zeros, scale=ones))) == 0
    kl = terms.compute_kl(show(Codes(zeros, ones, scale=ones)))
    np.testing.assert_allclose(kl * np.prod(PIXELS), 4 * 0.5, rtol=1e-6)


def test_kl_decomposition_adds_up_to_the_sampled_kl():
    mean, scale = RNG.normal(size=(8, 3)), RNG.uniform(0.5, 2, size=(8, 3))
    z = mean + scale * RNG.normal(size=(8, 3))
    codes = Codes(*map(jnp.asarray, (z, mean)), scale=jnp.asarray(scale))
    names = ("mutual_information", "total_correlation", "dimension_wise_kl")
    parts = [terms.TERMS[name](show(codes)) * np.prod(PIXELS) for name in names]

    def log_normal(x, mean, scale):
        return -0.5 * ((x - mean) / scale) ** 2 - np.log(scale * np.sqrt(2 * np.pi))

    expected = (log_normal(z, mean, scale) - log_normal(z, 0, 1)).sum(-1).mean()
    np.testing.assert_allclose(sum(parts), expected, rtol=1e-5)


def test_gradient_penalty_has_a_zero_gradient_where_the_norm_is_zero():
    image = jnp.ones((2, 4, 4, 1))

    def penalty(slope):
        return compute_gradient_penalty(lambda x: (slope * x).sum((1, 2, 3)), image)

    value, gradient = jax.value_and_grad(penalty)(0.0)
    assert value == 1
    assert gradient == 0
    np.testing.assert_allclose(penalty(0.25), 0, atol=1e-12)  # norm 0.25 * sqrt(16)
