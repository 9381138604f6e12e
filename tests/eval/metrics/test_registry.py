"""The table of metrics: every entry runs, a wrong name is explained, a failure stays alone."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from eval.metrics import mig, registry
from eval.metrics.errors import InputError
from eval.metrics.registry import METRICS, Metric, compute_metrics

ROOT = pathlib.Path(__file__).parents[3]


def samples(num=150):
    rng = np.random.default_rng(0)
    sources = rng.integers(0, 4, (num, 3))
    return sources, sources + rng.normal(size=(num, 3))


@pytest.mark.heavy
@pytest.mark.parametrize("discrete", [True, False])
def test_every_metric_gives_finite_scalars_of_its_own_twice_the_same(discrete):
    sources, latents = samples()
    if discrete:
        latents = np.round(latents).astype(int)
    scores, errors = compute_metrics(METRICS, sources, latents, discrete=discrete, seed=3)
    assert errors == {}
    assert set(scores) == set(METRICS)
    for values in scores.values():
        assert all(isinstance(value, float) and np.isfinite(value) for value in values.values())
    names = [name for values in scores.values() for name in values]
    assert len(names) == len(set(names))
    again, _ = compute_metrics(METRICS, sources, latents, discrete=discrete, seed=3)
    assert again == scores


def test_one_failure_does_not_take_the_others_down(monkeypatch):
    def fail(sources_NxS, latents_NxZ, *, discrete):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(mig, "compute_broken", fail, raising=False)
    monkeypatch.setitem(registry.METRICS, "broken", Metric("broken", "fails", "mig"))
    scores, errors = compute_metrics(["broken", "infomec"], *samples(), discrete=False)
    assert set(scores) == {"infomec"}
    assert errors == {"broken": "RuntimeError: first line second line"}


def test_unknown_name_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'infomec'"):
        compute_metrics(["infomek"], *samples(), discrete=False)


def test_bad_input_is_reported_for_each_metric():
    scores, errors = compute_metrics(
        ["infomec"], np.ones((4, 2), int), np.ones((4, 2)), discrete=False
    )
    assert scores == {}
    assert "no source takes more than one value" in errors["infomec"]


@pytest.mark.process
def test_metrics_alone_need_no_jax():
    heavy = "[name for name in ('jax', 'qlae', 'matplotlib') if name in sys.modules]"
    code = f"import sys, eval.metrics.registry; print({heavy})"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.strip() == "[]"


def test_dialect_is_that_of_infomec_alone():
    sources, latents = samples()
    names = ["infomec", "infomec_robust", "mig"]
    plain, _ = compute_metrics(names, sources, latents, discrete=False)
    other, _ = compute_metrics(names, sources, latents, discrete=False, dialect="modular2025")
    assert other["infomec"]["infom"] != plain["infomec"]["infom"]
    assert other["mig"] == plain["mig"]
    assert other["infomec_robust"] == plain["infomec_robust"]
    with pytest.raises(InputError, match="did you mean 'guard2026'"):
        compute_metrics(names, sources, latents, discrete=False, dialect="guard")
