"""Six dialects against the numbers of the programs they are named after, and one that is robust."""

import dataclasses
import pathlib

import numpy as np
import pytest

from eval.metrics.chance import compute_chance, compute_nmi_above_chance
from eval.metrics.dialects import DIALECTS, ActiveRule, find_active_latents, get_dialect
from eval.metrics.errors import InputError
from eval.metrics.infomec import compute_infomec
from eval.metrics.samples import make_samples
from tests.parity.dialects import check_dialects

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "infomec_dialects.npz"
CARDINALITIES = (10, 10, 10, 8, 4, 15)  # Shapes3D


def grid(num=3000, seed=0, cardinalities=CARDINALITIES):
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, size, num) for size in cardinalities], axis=1)


@pytest.mark.heavy
@pytest.mark.parametrize("part", range(4))
def test_golden_cases(part):
    with np.load(GOLDEN, allow_pickle=False) as file:
        arrays = dict(file)
    cases = sorted({key.split("/")[0] for key in arrays})[part::4]
    kinds = check_dialects({k: v for k, v in arrays.items() if k.split("/")[0] in cases})
    assert {kind.name.split("/")[0] for kind in kinds} == set(DIALECTS) - {"robust"}
    for kind in kinds:
        assert kind.passed, (kind.name, kind.worst)


def test_unknown_dialect_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'tripod2024'"):
        get_dialect("tripod")


def test_a_dialect_that_stops_says_at_what_and_who_does_not():
    sources = np.concatenate([grid(300), np.zeros((300, 1), int)], axis=1)
    with pytest.raises(InputError, match=r"a source never varies.*lq2023, guard2026, robust"):
        compute_infomec(sources, sources, discrete=True, dialect="modular2025")
    with pytest.raises(InputError, match=r"no latent is active.*lq2023, tripod2024, modular2025"):
        compute_infomec(grid(300), np.zeros((300, 2)), discrete=True, dialect="factorqvae2024")


def test_an_undefined_score_is_nan_with_its_reason():
    sources = grid(300)
    found = compute_infomec(sources, sources[:, :1], discrete=True, dialect="lq2023_trainer")
    assert np.isnan(found.infoc)
    assert np.isfinite(found.infom)
    assert "a single latent is active" in found.undefined["infoc"]
    assert "lq2023, guard2026, robust define it" in found.undefined["infoc"]


def test_a_dialect_of_ones_own():
    sources = grid(400)
    latents = sources + np.random.default_rng(0).normal(size=sources.shape)
    own = dataclasses.replace(DIALECTS["lq2023"], name="k3", num_neighbors=3)
    by_name = compute_infomec(sources, latents, discrete=False, dialect="factorqvae2024")
    found = compute_infomec(sources, latents, discrete=False, dialect=own)
    np.testing.assert_array_equal(found.nmi_SxZ, by_name.nmi_SxZ)
    assert "k = 3" in found.protocol["nmi"]
    assert found.infoe_heldout is None


@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_gives_a_perfect_code_high_scores(name, discrete):
    sources = grid()
    noise = 0 if discrete else np.random.default_rng(1).normal(size=sources.shape) * 0.05
    found = compute_infomec(sources, sources + noise, discrete=discrete, dialect=name)
    assert found.num_active == 6
    assert min(found.infom, found.infoc) > (0.85 if name == "modular2025" else 0.95)
    assert found.infoe > (0.7 if name == "guard2026" else 0.98)


@pytest.mark.parametrize("num_dead", [0, 1, 3, 6])
def test_robust_is_blind_to_stray_samples(num_dead):
    sources = grid()
    dead = np.zeros((len(sources), num_dead), int)
    dead[np.arange(num_dead), np.arange(num_dead)] = 5
    latents = np.concatenate([sources, dead], axis=1)
    for discrete in (True, False):
        found = compute_infomec(sources, latents, discrete=discrete, dialect="robust")
        assert found.num_active == 6
        assert found.infom > 0.99
    faithful = compute_infomec(sources, latents, discrete=True, heldout=False)
    assert faithful.num_active == 6 + num_dead


@pytest.mark.parametrize(("num_codes", "plain"), [(10, 0.0), (512, 0.05), (0, 0.3)])
def test_robust_gives_noise_nothing(num_codes, plain):
    sources = grid(4000)
    rng = np.random.default_rng(7)
    shape = (len(sources), 12)
    latents = rng.integers(0, num_codes, shape) if num_codes else rng.normal(size=shape)
    discrete = num_codes > 0
    found = compute_infomec(sources, latents, discrete=discrete, dialect="robust")
    assert found.scores() == pytest.approx(
        {"infom": 0, "infoe": 0, "infoc": 0, "num_active": 12}, abs=0.02
    )
    faithful = compute_infomec(sources, latents, discrete=discrete, heldout=False)
    assert max(faithful.infom, faithful.nmi_SxZ.max()) > plain


def test_chance_is_what_an_independent_latent_shows():
    sources = grid(4000)
    samples = make_samples(
        sources, np.random.default_rng(3).integers(0, 50, (4000, 3)), discrete=True
    )
    mean_SxZ, spread_SxZ = compute_chance(samples)
    # Roulston (1999): the plug-in bias is (classes - 1) (codes - 1) / 2N nats, while that is small.
    expected_S = (np.array(CARDINALITIES) - 1) * 49 / 8000 / np.log(CARDINALITIES)
    np.testing.assert_allclose(mean_SxZ, np.tile(expected_S[:, None], 3), rtol=0.1)
    assert (spread_SxZ < 0.01).all()
    assert (compute_nmi_above_chance(samples) == 0).all()


def test_number_above_chance_of_a_copy_is_one():
    sources = grid(2000)
    samples = make_samples(sources, sources, discrete=True)
    np.testing.assert_allclose(compute_nmi_above_chance(samples), np.eye(6), atol=1e-9)


def test_active_rules_on_a_latent_with_one_stray_sample():
    latents = np.zeros((1000, 3))
    latents[0, 0] = 9
    latents[:, 1] = np.arange(1000) % 10
    latents[:300, 2] = 9
    samples = make_samples(np.arange(1000)[:, None] % 2, latents, discrete=True)
    expected = {
        ActiveRule(): [1, 1, 1],
        ActiveRule(share=1 / 8): [1, 1, 1],
        ActiveRule("interquartile range", floor=0.1): [0, 1, 1],
        ActiveRule("off mode", floor=0.01): [0, 1, 1],
        ActiveRule("central range", share=1 / 20): [0, 1, 1],
        ActiveRule("off mode", floor=0.31): [0, 1, 0],
    }
    for rule, active in expected.items():
        own = dataclasses.replace(DIALECTS["lq2023"], active_codes=rule)
        np.testing.assert_array_equal(find_active_latents(samples, own), active)


@pytest.mark.parametrize("seed", range(3))
def test_heldout_falls_with_the_share_of_wrong_codes(seed):
    sources = grid(4000, seed)
    rng = np.random.default_rng(seed)
    scores = []
    for share in (0, 0.003, 0.01, 0.02, 0.03, 0.1):
        wrong = rng.random(sources.shape) < share
        latents = np.where(wrong, rng.integers(0, CARDINALITIES, sources.shape), sources)
        scores.append(compute_infomec(sources, latents, discrete=True).infoe_heldout)
    assert (np.diff(scores) < 0).all()
    assert scores[0] > 0.99
    assert scores[-1] < 0.85
