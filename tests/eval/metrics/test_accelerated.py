"""The jitted InfoMEC gives the numbers of the host, and its optimiser walks SciPy's path."""

import itertools
import pathlib

import jax
import numpy as np
import pytest
from scipy import optimize

from eval.metrics import accelerated, information
from eval.metrics.errors import InputError
from eval.metrics.infomec import compute_infomec
from eval.metrics.lbfgs import minimize
from eval.metrics.samples import make_samples

GOLDEN = np.load(
    pathlib.Path(__file__).parents[2] / "golden" / "infomec_cases.npz", allow_pickle=False
)
CASES = ("disc_2k", "disc_imbalanced", "cont_2k")


@pytest.mark.parametrize("case", CASES)
def test_same_numbers_as_on_the_host(case):
    sources, latents, discrete = (
        GOLDEN[f"{case}/{name}"] for name in ("sources", "latents", "discrete")
    )
    options = {"discrete": bool(discrete), "heldout": False}
    host = compute_infomec(sources, latents, **options)
    other = compute_infomec(sources, latents, backend="jax", **options)
    assert other.scores() == pytest.approx(host.scores(), abs=1e-5)
    np.testing.assert_allclose(other.nmi_SxZ, host.nmi_SxZ, rtol=0, atol=1e-9)
    np.testing.assert_allclose(other.infoe_S, host.infoe_S, rtol=0, atol=1e-5)
    assert not jax.config.jax_enable_x64


def test_ties_and_single_members():
    rng = np.random.default_rng(0)
    sources = np.stack([rng.integers(0, 3, 300), np.arange(300) // 8], axis=1)
    sources[:5, 1] = 1000 + np.arange(5)
    latents = np.stack([sources[:, 0], rng.normal(size=300), np.zeros(300)], axis=1)
    samples = make_samples(sources, latents, discrete=False)
    host = information.compute_nmi(samples)
    np.testing.assert_allclose(accelerated.compute_nmi(samples), host, rtol=0, atol=1e-12)
    assert host[0, 0] > 0.95
    assert (host[:, 2] == 0).all()


def test_optimiser_walks_the_path_of_scipy():
    rng = np.random.default_rng(0)
    scale = np.exp(rng.normal(size=12) * 2)

    def valley(x):
        y = x * scale - 1
        return (100 * (y[1:] - y[:-1] ** 2) ** 2 + (1 - y[:-1]) ** 2).sum()

    @jax.jit
    def walk(start, iterations):
        return minimize(
            valley,
            start,
            max_iterations=iterations,
            gradient_tolerance=1e-6,
            loss_tolerance=1e-12,
            max_evaluations=50,
        )

    with jax.enable_x64(True):
        evaluate = jax.jit(jax.value_and_grad(valley))
        for seed, iterations in itertools.product(range(3), (1, 5, 20)):
            start = np.random.default_rng(seed).normal(size=12)
            expected = optimize.minimize(
                lambda x: tuple(map(np.asarray, evaluate(x))),
                start,
                method="L-BFGS-B",
                jac=True,
                options={"maxiter": iterations, "gtol": 1e-6, "ftol": 1e-12, "maxls": 50},
            )
            np.testing.assert_allclose(walk(start, iterations), expected.x, rtol=1e-5, atol=1e-7)


def test_backends_have_names():
    with pytest.raises(InputError, match="no backend is called 'cuda': it is 'numpy' or 'jax'"):
        compute_infomec(np.eye(3, dtype=int), np.eye(3), discrete=True, backend="cuda")
