"""InfoMEC against golden numbers, and in every case that the formulas leave open."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from eval.metrics.errors import InputError
from eval.metrics.infomec import compute_infomec

GOLDEN = np.load(
    pathlib.Path(__file__).parents[2] / "golden" / "infomec_cases.npz", allow_pickle=False
)
CASES = sorted({key.split("/")[0] for key in GOLDEN.files})
# The authors' file raises on these; quantized_as_cont is all ties, which it breaks at random.
CRASHED = ("disc_all_const", "disc_const_source", "disc_int_dtype")
DISCRETE = [case for case in CASES if case.startswith("disc_") and case not in CRASHED]
CONTINUOUS = [case for case in CASES if case.startswith("cont_")]
SAMPLED = (10, 10, 10, 8, 4, 15)


def golden(case, name):
    return GOLDEN[f"{case}/{name}"]


def score(case, **options):
    options.setdefault("heldout", False)
    return compute_infomec(
        golden(case, "sources"),
        golden(case, "latents"),
        discrete=bool(golden(case, "discrete")),
        **options,
    )


def grid(num, seed=0, cardinalities=(4, 3, 5)):
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, size, num) for size in cardinalities], axis=1)


@pytest.mark.parametrize("case", DISCRETE)
def test_discrete_golden(case):
    result = score(case)
    np.testing.assert_array_equal(result.active_latents, golden(case, "active_latents"))
    np.testing.assert_allclose(result.nmi_SxZ, golden(case, "nmi"), rtol=0, atol=1e-9)
    assert result.infom == pytest.approx(float(golden(case, "infom")), abs=1e-9)
    assert result.infoc == pytest.approx(float(golden(case, "infoc")), abs=1e-9)
    assert result.infoe == pytest.approx(float(golden(case, "infoe")), abs=1e-6)
    np.testing.assert_allclose(result.h_source_null, golden(case, "h"), atol=1e-6)


@pytest.mark.parametrize("case", CONTINUOUS)
def test_continuous_golden(case):
    result = score(case)
    active = golden(case, "active_latents")
    np.testing.assert_array_equal(result.active_latents, active)
    # Aligned latents are ties, which the authors break at random; the others spread by about 1e-5.
    spread = 0.0 if case != "cont_aligned" else float(golden(case, "nmi_seed_spread"))
    difference = np.abs(result.nmi_SxZ - golden(case, "nmi"))[:, active]
    assert difference.max() < 1e-4 + 2 * spread
    assert result.infom == pytest.approx(float(golden(case, "infom")), abs=1e-4 + 2 * spread)
    if case != "cont_single_active":
        assert result.infoc == pytest.approx(float(golden(case, "infoc")), abs=1e-4 + 2 * spread)
    assert result.infoe == pytest.approx(float(golden(case, "infoe")), abs=2e-3)


def test_codes_given_as_floats():
    assert score("quantized_as_cont").infoe == pytest.approx(
        float(golden("quantized_as_cont", "infoe")), abs=2e-3
    )


def test_integer_latents_are_codes():
    case = "disc_int_dtype"
    assert golden(case, "latents").dtype == np.int64
    integers = score(case)
    floats = compute_infomec(
        golden(case, "sources"),
        golden(case, "latents").astype(np.float32),
        discrete=True,
        heldout=False,
    )
    assert integers.scores() == floats.scores()


def test_constant_source_is_left_out():
    case = "disc_const_source"
    constant = score(case)
    rest = compute_infomec(
        np.delete(golden(case, "sources"), 2, axis=1),
        golden(case, "latents"),
        discrete=True,
        heldout=False,
    )
    assert constant.scores() == rest.scores()
    np.testing.assert_array_equal(constant.varying_sources, [1, 1, 0, 1, 1, 1])
    np.testing.assert_array_equal(constant.nmi_SxZ[2], 0)
    assert np.isnan(constant.infoc_S[2])
    assert np.isnan(constant.infoe_S[2])


@pytest.mark.parametrize("discrete", [True, False])
def test_no_active_latent(discrete):
    result = compute_infomec(grid(300), np.ones((300, 4)), discrete=discrete)
    assert not result.active_latents.any()
    assert result.scores() == pytest.approx(
        {"infom": 0, "infoe": 0, "infoc": 0, "num_active": 0, "infoe_heldout": 0}, abs=1e-12
    )


@pytest.mark.parametrize("discrete", [True, False])
def test_one_active_latent(discrete):
    sources = grid(2000)
    noise = 0 if discrete else np.random.default_rng(1).normal(size=2000) / 100
    latents = np.stack([sources[:, 1] + noise, np.zeros(2000)], axis=1)
    result = compute_infomec(sources, latents, discrete=discrete, heldout=False)
    np.testing.assert_array_equal(result.active_latents, [True, False])
    assert result.infom > 0.97
    assert np.isnan(result.infom_Z[1])
    assert result.infoc_S[1] == 1.0
    assert np.isfinite(result.infoc)


@pytest.mark.parametrize("discrete", [True, False])
def test_one_source(discrete):
    source = grid(1000)[:, :1]
    latents = np.concatenate([source, source], axis=1)
    result = compute_infomec(source, latents, discrete=discrete, heldout=False)
    assert result.infom == 1.0
    assert result.infoc == pytest.approx(0.0, abs=1e-12)
    assert result.infoe > 0.99


def test_zero_information_latent():
    # A full grid makes the second column independent of the sources to the last digit.
    source, other = (axis.reshape(-1, 1) for axis in np.meshgrid(np.arange(4), np.arange(3)))
    sources = np.concatenate([source, other % 2], axis=1)
    latents = np.concatenate([source, np.zeros_like(source)], axis=1)
    repeated_sources = np.tile(sources, (2, 1))
    repeated = np.tile(latents, (2, 1))
    repeated[len(latents) :, 1] = 1
    result = compute_infomec(repeated_sources, repeated, discrete=True, heldout=False)
    assert result.active_latents.all()
    np.testing.assert_allclose(result.infom_Z, [1, 0], atol=1e-7)
    np.testing.assert_allclose(result.infoc_S, [1, 0], atol=1e-7)


@pytest.mark.parametrize("discrete", [True, False])
def test_gaps_and_order_of_labels_do_not_matter(discrete):
    sources = grid(500)
    latents = sources[:, [1, 0, 2, 2]] % 3
    plain = compute_infomec(sources, latents, discrete=discrete)
    gaps = compute_infomec(sources * 7 - 3, latents, discrete=discrete)
    assert plain.scores() == gaps.scores()
    if discrete:
        assert compute_infomec(sources, latents * 5 - 9, discrete=True).scores() == plain.scores()


@pytest.mark.parametrize("num", [2, 3, 5, 9])
@pytest.mark.parametrize("discrete", [True, False])
def test_fewer_samples_than_neighbors(num, discrete):
    sources = np.stack([np.arange(num) % 2, np.arange(num)], axis=1)
    latents = np.stack([np.arange(num) ** 2, np.arange(num) % 2], axis=1)
    result = compute_infomec(sources, latents, discrete=discrete)
    for value in result.scores().values():
        assert np.isfinite(value)


def test_perfect_code_scores_one_and_independent_code_near_zero():
    sources = grid(4000)
    perfect = compute_infomec(sources, sources[:, [2, 0, 1]], discrete=True)
    # Plug-in estimates see a little chance information in other sources.
    assert perfect.infom > 0.995
    assert perfect.infoc > 0.995
    assert perfect.infoe == pytest.approx(1, abs=2e-3)
    assert perfect.infoe_heldout == pytest.approx(1, abs=2e-3)
    independent = compute_infomec(sources, grid(4000, seed=1), discrete=True)
    assert independent.infoe < 0.02
    assert abs(independent.infoe_heldout) < 0.02


def test_permuting_latents_changes_nothing():
    case = "disc_2k"
    order = np.random.default_rng(0).permutation(12)
    permuted = compute_infomec(
        golden(case, "sources"), golden(case, "latents")[:, order], discrete=True, heldout=False
    )
    np.testing.assert_allclose(permuted.nmi_SxZ, score(case).nmi_SxZ[:, order], atol=1e-12)
    assert permuted.infom == pytest.approx(score(case).infom, abs=1e-12)
    assert permuted.infoe == pytest.approx(score(case).infoe, abs=1e-6)


def test_affine_maps_of_continuous_latents_change_nothing():
    case = "cont_2k"
    latents = golden(case, "latents").astype(np.float64)
    plain = score(case)
    moved = compute_infomec(
        golden(case, "sources"), latents * 1e6 - 3e7, discrete=False, heldout=False
    )
    np.testing.assert_allclose(moved.nmi_SxZ, plain.nmi_SxZ, atol=1e-5)
    np.testing.assert_array_equal(moved.active_latents, plain.active_latents)


def test_heldout_equals_scikit_learn_on_the_same_halves():
    linear_model = pytest.importorskip("sklearn.linear_model")
    sources = grid(1500)
    latents = sources[:, :2] + np.random.default_rng(2).normal(size=(1500, 2))
    result = compute_infomec(sources, latents, discrete=False)
    rows = np.random.Generator(np.random.PCG64(0)).permutation(1500)
    fitted, scored = rows[:750], rows[750:]
    features = (latents - latents.mean(0)) / latents.std(0)
    for i in range(3):
        model = linear_model.LogisticRegression(C=np.inf, class_weight="balanced", tol=1e-4)
        model.fit(features[fitted], sources[fitted, i])
        predicted = model.predict_proba(features[scored])[np.arange(750), sources[scored, i]]
        loss = -np.log(predicted * (1 - 1 / 750) + 1 / 750 / len(model.classes_))
        expected = 1 - loss.mean() / np.log(len(model.classes_))
        assert result.infoe_heldout_S[i] == pytest.approx(expected, abs=1e-4)


def test_empirical_entropy_shows_imbalance():
    result = score("disc_imbalanced")
    assert (result.h_source_empirical <= result.h_source_null + 1e-12).all()
    assert (result.h_source_empirical < result.h_source_null - 0.1).any()


def test_extreme_values_stay_finite():
    sources = grid(500)
    latents = sources.astype(np.float64) * 1e300
    latents[:, 1] = sources[:, 1] * 1e-300
    result = compute_infomec(sources, latents, discrete=False)
    assert all(np.isfinite(value) for value in result.scores().values())
    np.testing.assert_array_equal(result.active_latents, [True, False, True])


def test_separable_latents_with_huge_logits():
    sources = grid(400)
    latents = sources + np.random.default_rng(0).normal(size=sources.shape) * 1e-6
    latents[0] = 1e4
    result = compute_infomec(sources, latents, discrete=False, heldout=True)
    assert np.isfinite(result.infoe)
    assert np.isfinite(result.infoe_heldout)


@pytest.mark.parametrize(
    ("sources", "latents", "message"),
    [
        (np.zeros(5), np.zeros((5, 2)), "sources have shape"),
        (np.zeros((5, 2)), np.zeros((5, 2, 1)), "latents have shape"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "at least one row"),
        (np.arange(10).reshape(5, 2), np.zeros((4, 2)), "5 rows and latents 4"),
        (np.arange(10).reshape(5, 2), np.full((5, 2), np.nan), "NaN or inf in 5 of 5"),
        (np.arange(10).reshape(5, 2), np.full((5, 2), np.inf), "NaN or inf"),
        (np.arange(10).reshape(5, 2) / 4, np.zeros((5, 2)), "fractional"),
        (np.array([["a", "b"]] * 5), np.zeros((5, 2)), "dtype"),
        (np.arange(10).reshape(5, 2), np.zeros((5, 2), complex), "dtype"),
        (np.ones((5, 2), int), np.zeros((5, 2)), "no source takes more than one value"),
    ],
)
def test_bad_input_is_one_clear_line(sources, latents, message):
    with pytest.raises(InputError, match=message) as caught:
        compute_infomec(sources, latents, discrete=False)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_inputs_are_not_modified():
    sources, latents = grid(100), np.random.default_rng(0).normal(size=(100, 3))
    copies = sources.copy(), latents.copy()
    compute_infomec(sources, latents, discrete=False)
    np.testing.assert_array_equal(sources, copies[0])
    np.testing.assert_array_equal(latents, copies[1])


PRINT_BITS = """
import hashlib, sys
import numpy as np
from eval.metrics.infomec import compute_infomec
rng = np.random.default_rng(0)
sources = np.stack([rng.integers(0, size, 3000) for size in (10, 4, 15)], axis=1)
codes = (sources[:, [0, 1, 2, 2, 1]] + rng.integers(0, 3, (3000, 5))) % 10
digest = hashlib.sha256()
for latents, discrete in ((codes, True), (codes + rng.normal(size=codes.shape), False)):
    result = compute_infomec(sources, latents, discrete=discrete)
    for array in (result.nmi_SxZ, result.infom_Z, result.infoc_S, result.infoe_S):
        digest.update(array.tobytes())
    digest.update(repr(result.scores()).encode())
print(digest.hexdigest())
"""


@pytest.mark.process
def test_same_bits_on_any_number_of_threads():
    printed = set()
    for threads in ("1", "2", "7"):
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        run = subprocess.run(
            [sys.executable, "-c", PRINT_BITS],
            env=environment,
            cwd=pathlib.Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        )
        printed.add(run.stdout)
    assert len(printed) == 1


def test_result_names_its_protocol():
    result = score("disc_2k")
    assert dataclasses.is_dataclass(result)
    assert "plug-in" in result.protocol["nmi"]
    assert "k = 10" in score("cont_2k").protocol["nmi"]
