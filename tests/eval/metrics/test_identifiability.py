"""MCC, R2 and T-MEX: golden numbers, and the same by other means."""

import itertools
import pathlib

import numpy as np
import pytest
from scipy import stats
from sklearn import linear_model

from eval.metrics.errors import InputError
from eval.metrics.mcc import compute_mcc
from eval.metrics.r2 import compute_r2
from eval.metrics.tmex import compute_tmex, find_dependences
from tests.parity.dialects import check_guard

GOLDEN = pathlib.Path(__file__).parents[2] / "golden"
COMPUTE = {"mcc": compute_mcc, "r2": compute_r2, "tmex": compute_tmex}


def mixed(num=400, seed=0):
    rng = np.random.default_rng(seed)
    sources = np.stack([rng.integers(0, size, num) for size in (3, 5, 4)], axis=1)
    mixing = np.array([[1.0, 0.3, 0.0, 0.2], [0.0, 1.0, 0.4, 0.0], [0.5, 0.0, -1.0, 0.1]])
    return sources, sources @ mixing + rng.normal(size=(num, 4)) * 0.4


@pytest.mark.heavy
@pytest.mark.parametrize("file", ["guard_grid", "infomec_dialects"])
def test_golden(file):
    with np.load(GOLDEN / f"{file}.npz", allow_pickle=False) as arrays:
        kinds = check_guard(dict(arrays))
    assert len(kinds) == (10 if file == "guard_grid" else 7)
    for kind in kinds:
        assert kind.passed, (kind.name, kind.worst)


def test_mcc_tries_all_matchings():
    sources, latents = mixed()
    for rank in (False, True):
        table = np.array(
            [
                [abs((stats.spearmanr if rank else stats.pearsonr)(s, z)[0]) for z in latents.T]
                for s in sources.T
            ]
        )
        best = max(
            np.mean([table[i, j] for i, j in enumerate(order)])
            for order in itertools.permutations(range(4), 3)
        )
        found = compute_mcc(sources, latents, discrete=False)
        assert found["mcc_spearman" if rank else "mcc"] == pytest.approx(best, abs=1e-12)


def test_r2_is_scikit_learns():
    sources, latents = mixed()
    for name, intercept in (("r2", False), ("r2_intercept", True)):
        model = linear_model.LinearRegression(fit_intercept=intercept).fit(latents, sources)
        error = ((model.predict(latents) - sources) ** 2).mean(0)
        expected = np.clip(1 - error / sources.var(0), 0, 1).mean()
        assert compute_r2(sources, latents, discrete=False)[name] == pytest.approx(expected)


def test_tmex_finds_what_latents_depend_on():
    rng = np.random.default_rng(0)
    sources = rng.integers(0, 6, (2000, 3))
    depends = np.array([[1, 0, 0], [0, 0, 1], [1, 1, 0], [0, 0, 0]], bool)
    latents = sources @ depends.T + rng.normal(size=(2000, 4))
    np.testing.assert_array_equal(find_dependences(sources, latents), depends)
    found = compute_tmex(sources, latents, discrete=False)
    assert found == {"tmex": 1.0, "tmex_errors": 5.0}  # by row 0, 2, 3, 0


def test_verdicts_on_nothing_are_false_at_the_level():
    rng = np.random.default_rng(1)
    sources, latents = rng.integers(0, 6, (500, 4)), rng.normal(size=(500, 30))
    # The mean of nine halvings varies less than one: fewer than 5% of 120 verdicts.
    assert find_dependences(sources, latents).mean() < 0.08


@pytest.mark.parametrize("name", COMPUTE)
def test_defined_at_the_edges(name):
    sources, latents = mixed()
    constant = np.column_stack([sources, np.ones(len(sources))])
    huge = latents * [1e300, 1e-300, 1, 1]
    dead = np.zeros((len(sources), 2))
    for s, z in ((constant, latents), (sources, huge), (sources, dead), (sources[:, :1], latents)):
        values = COMPUTE[name](s, z, discrete=False)
        assert all(np.isfinite(value) and value >= 0 for value in values.values())
    assert COMPUTE[name](sources, dead, discrete=False)[name] == 0
    with pytest.raises(InputError, match="NaN"):
        COMPUTE[name](sources, latents * np.nan, discrete=False)
    with pytest.raises(InputError, match="pass at least"):
        COMPUTE[name](sources[:2], latents[:2], discrete=False)


def test_sources_without_a_latent_cost_coverage():
    sources, _ = mixed()
    found = compute_mcc(sources, sources[:, :1], discrete=True)
    assert found["mcc"] == pytest.approx(1)
    assert found["mcc_coverage"] == pytest.approx(1 / 3)
