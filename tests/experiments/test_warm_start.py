"""A new run starts from another run's parameters, and says which it could not take."""

import shutil

import jax
import numpy as np
import pytest

from qlae.restore import open_run
from qlae.run_directory import RunDirectory
from tests import runs

pytestmark = pytest.mark.process
SHORT = ("--config.num_steps=4", "--config.checkpoint_every=2")
STILL = "--config.optimizer.learning_rate=1e-30"  # so that what was taken can be seen


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run with checkpoints at steps 2 and 4."""
    workdir = tmp_path_factory.mktemp("source") / "run"
    code, _, errors = runs.train(workdir, *SHORT)
    assert code == 0, errors
    return workdir


def leaves(workdir, step):
    return jax.tree.leaves(open_run(workdir).load(step))


@pytest.mark.parametrize(("suffix", "step"), [("", 4), (":2", 2)])
def test_all_parameters_of_the_same_model_are_taken(source, tmp_path, suffix, step):
    code, _, errors = runs.train(
        tmp_path / "run", *SHORT, STILL, "--config.seed=7", f"--init_from={source}{suffix}"
    )
    assert code == 0, errors
    count = len(leaves(source, step))
    assert f"started from {source}:{step}: {count} of {count} parameters" in errors
    for ours, theirs in zip(leaves(tmp_path / "run", 2), leaves(source, step), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert RunDirectory(tmp_path / "run").load_config().init_from == f"{source}{suffix}"


def test_what_differs_is_named_and_keeps_its_own_start(source, tmp_path):
    wider = "--config.model.latents.num_values=7"
    code, _, errors = runs.train(tmp_path / "warm", *SHORT, STILL, wider, f"--init_from={source}")
    assert code == 0, errors
    assert "latents.codebook: float32[12, 10] there, float32[12, 7] here" in errors
    assert runs.train(tmp_path / "cold", *SHORT, STILL, wider)[0] == 0
    warm, cold = (open_run(tmp_path / name).load(2) for name in ("warm", "cold"))
    codebooks = [params["latents"]["codebook"] for params in (warm, cold)]
    np.testing.assert_allclose(*codebooks, atol=1e-20)  # the rate is not quite 0
    taken = open_run(source).load(4)["decoder"]
    assert jax.tree.all(jax.tree.map(lambda a, b: np.allclose(a, b), warm["decoder"], taken))
    assert not jax.tree.all(jax.tree.map(lambda a, b: np.allclose(a, b), cold["decoder"], taken))


def test_a_population_starts_from_it_and_resumes_without_it(source, tmp_path):
    copy = tmp_path / "source"
    shutil.copytree(source, copy)
    command = (*SHORT, STILL, "--config.population.seeds=2", f"--init_from={copy}")
    assert runs.train(tmp_path / "run", *command)[0] == 0
    first, second = (leaves(tmp_path / f"run/seed_{seed}", 2) for seed in (0, 1))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    shutil.rmtree(copy)
    for seed in (0, 1):
        shutil.rmtree(tmp_path / f"run/seed_{seed}/checkpoints/4")
    code, _, errors = runs.train(tmp_path / "run", *command)
    assert code == 0, errors
    assert "from step 2" in errors
    assert "started from" not in errors


@pytest.mark.parametrize(
    ("suffix", "line"),
    [("/nowhere", "no run at"), (":3", "has no checkpoint of step 3: 2, 4")],
)
def test_a_mistake_claims_nothing(source, tmp_path, suffix, line):
    code, _, errors = runs.train(tmp_path / "run", *SHORT, f"--init_from={source}{suffix}")
    assert code == 2
    assert line in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "run").exists()
