"""Who of a population lives, claims its directory, and fails."""

import jax
import numpy as np
import pytest

from experiments.config_file import load_config
from experiments.members import make_members
from experiments.parameter_table import write_parameter_tables
from experiments.population import Population
from qlae.common.errors import RunFailed, UserError
from qlae.dataset_facts import DatasetFacts
from qlae.run_directory import RunDirectory
from tests import runs

FACTS = DatasetFacts((8, 8, 3), ("a", "b"), 100)


def make_population(root, seeds=3):
    config = load_config(runs.TINY)
    config.population.seeds = seeds
    return Population(make_members(config, RunDirectory(root)))


def test_the_living_claim_their_directories(tmp_path):
    (tmp_path / "seed_1").mkdir()
    (tmp_path / "seed_1/FAILED").write_text("loss/total is nan at step 2\n")
    population = make_population(tmp_path)
    assert population.living == [0, 2]
    population.claim(FACTS)
    assert [RunDirectory(tmp_path / f"seed_{seed}").exists for seed in range(3)] == [1, 0, 1]
    run = RunDirectory(tmp_path / "seed_2")
    assert run.load_facts() == FACTS
    assert run.load_config().seed == 2
    assert (tmp_path / "seed_1/FAILED").exists()


def test_nothing_is_claimed_where_one_directory_is_anothers(tmp_path):
    (tmp_path / "seed_2").mkdir()
    (tmp_path / "seed_2/notes.txt").write_text("mine")
    with pytest.raises(UserError, match="seed_2 is not empty and holds no run"):
        make_population(tmp_path).claim(FACTS)
    assert not (tmp_path / "seed_0").exists()


def test_who_diverges_fails_alone_until_nobody_is_left(tmp_path, capsys):
    population = make_population(tmp_path)
    population.claim(FACTS)
    population.fail({1: "loss/total is nan at step 7"})
    assert population.living == [0, 2]
    failure = population.members[1].directory.failure
    assert failure.startswith("loss/total is nan at step 7: the run has diverged")
    assert "seed_1: loss/total is nan" in capsys.readouterr().err
    # The slot of the dead repeats a living one, and is nobody's when that one diverges.
    with pytest.raises(RunFailed, match="3 of 3 members have diverged"):
        population.fail({0: "grad_norm is inf at step 9", 1: "x", 2: "grad_norm is inf at step 9"})
    assert population.members[1].directory.failure == failure
    assert make_population(tmp_path).living == []


def test_processes_but_the_first_write_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("jax.process_index", lambda: 1)
    population = make_population(tmp_path)
    population.claim(FACTS)
    params = {"decoder": {"bias": jax.ShapeDtypeStruct((3,), np.float32)}}
    write_parameter_tables(population, params)
    population.fail({1: "loss/total is nan at step 7"})
    assert population.living == [0, 2]
    assert list(tmp_path.rglob("*")) == []
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("jax.process_index", lambda: 0)
    population = make_population(tmp_path)
    population.claim(FACTS)
    write_parameter_tables(population, params)
    assert "decoder" in (tmp_path / "seed_1/parameters.txt").read_text()


def test_a_lone_run_that_failed_says_how_to_try_again(tmp_path):
    population = make_population(tmp_path, seeds=1)
    population.claim(FACTS)
    with pytest.raises(RunFailed, match=r"nan at step 1: .*; delete .*/FAILED for another try"):
        population.fail({0: "loss/total is nan at step 1"})
    again = make_population(tmp_path, seeds=1)
    assert again.is_complete  # nothing is left to train
    with pytest.raises(RunFailed):
        again.check()
    (tmp_path / "FAILED").unlink()
    assert make_population(tmp_path, seeds=1).living == [0]
