"""A population: each member is the run that it would be alone."""

import os
import re

import jax
import numpy as np
import pytest

from eval.records import load_records
from experiments.config_file import load_config
from experiments.members import make_members
from experiments.step_check import make_abstract_arguments
from experiments.trainer import make_trainer
from qlae.common.errors import UserError
from qlae.run_directory import RunDirectory, list_steps
from tests import runs
from tests.experiments.test_train import final_params

pytestmark = pytest.mark.process


def population_config(model="qlae", seeds=2, **population):
    config = load_config(f"tests/configs/tiny.py:{model}")
    config.population.seeds = seeds
    config.population.update(population)
    return config


def test_members_are_seeds_times_settings_with_the_configs_of_lone_runs():
    config = population_config(weight_decay=(0.1, 0.5), weights={"commit": (0.01, 0.1)})
    members = make_members(config, RunDirectory("runs/x"))
    names = [os.path.relpath(member.directory.path) for member in members]
    assert names[:3] == [
        "runs/x/weight_decay_0.1_commit_0.01/seed_0",
        "runs/x/weight_decay_0.1_commit_0.01/seed_1",
        "runs/x/weight_decay_0.1_commit_0.1/seed_0",
    ]
    assert len(set(names)) == 8
    alone = load_config("tests/configs/tiny.py")
    alone.seed, alone.optimizer.weight_decay, alone.weights.commit = 1, 0.1, 0.01
    assert members[1].config.to_dict() == alone.to_dict()
    assert [m.config.seed for m in make_members(alone, RunDirectory("y"))] == [1]
    config = population_config(seeds=1, weight_decay=(0.123,))
    (single,) = make_members(config, RunDirectory("z"))
    assert single.config.optimizer.weight_decay == 0.123


def test_an_unknown_term_is_one_line():
    config = population_config()
    config.population.weights = {"comit": (0.1,)}
    with pytest.raises(UserError, match=r"population.weights.comit: qlae has no such term"):
        make_members(config, RunDirectory("x"))


def test_settings_have_directories_of_their_own():
    config = population_config(seeds=1, learning_rate=(0.001, 0.0010000001))
    first, second = make_members(config, RunDirectory("x"))
    assert first.directory.path != second.directory.path
    config.population.learning_rate = (0.001, 0.001)
    with pytest.raises(UserError, match=r"population.learning_rate lists a value twice"):
        make_members(config, RunDirectory("x"))


@pytest.mark.parametrize("model", ["qlae", "qlinfo_wgan_gp"])
def test_no_collective_crosses_members(model):
    """On a mesh of 4 x 2 every collective stays within the two devices of one member."""
    trainer = make_trainer(population_config(model), 4, jax.devices()[:8])
    assert dict(trainer.layout.mesh.shape) == {"population": 4, "data": 2}
    text = trainer.step.lower(*make_abstract_arguments(trainer)).compile().as_text()
    kinds = r"(all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute)(?:-start)?\("
    lines = [line for line in text.splitlines() if re.search(kinds, line)]
    assert lines
    for line in lines:
        group = re.search(r"replica_groups=(\{\{.*?\}\}|\S+\]<=\[\d+\]|mesh\[.*?\}), ", line)[1]
        assert group in (  # three ways in which XLA has written it
            "{{0,1},{2,3},{4,5},{6,7}}",
            "[4,2]<=[8]",
            "mesh['population'=4,'data'=2] {'data'}",
        ), line[-300:]


def test_each_member_equals_its_lone_run_and_is_scored_as_one(tmp_path):
    short = ("--config.num_steps=20", "--config.checkpoint_every=10")
    population = ("--config.seed=1", "--config.population.weight_decay=(0.1, 0.5)")
    code, _, errors = runs.train(tmp_path / "all", *short, *population, devices=2)
    assert code == 0, errors
    workdirs = sorted(path.parent for path in (tmp_path / "all").rglob("config.json"))
    assert len(workdirs) == 2
    alone = tmp_path / "alone"
    lone = ("--config.seed=1", "--config.optimizer.weight_decay=0.5")
    assert runs.train(alone, *short, *lone)[0] == 0
    member = tmp_path / "all" / "weight_decay_0.5" / "seed_1"
    for a, b in zip(
        jax.tree.leaves(final_params(alone)), jax.tree.leaves(final_params(member)), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)
    # Killed between the saves of two members, it resumes from the last step that all have.
    for file in sorted((workdirs[0] / "checkpoints" / "20").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    (workdirs[0] / "checkpoints" / "20").rmdir()
    before = [final_params(workdir) for workdir in workdirs[1:]]
    assert runs.train(tmp_path / "all", *short, *population, devices=2)[0] == 0
    for params, workdir in zip(before, workdirs[1:], strict=True):
        for a, b in zip(
            jax.tree.leaves(params), jax.tree.leaves(final_params(workdir)), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    # A member is a run like any other: it can be resumed alone, and is scored by the worker.
    assert "is complete" in runs.train(member, *short, *lone)[1]
    arguments = [f"--workdir={workdir}" for workdir in workdirs]
    assert runs.run("eval.worker", *arguments)[0] == 0
    for workdir in workdirs:
        assert [record.step for record in load_records(workdir)] == list_steps(workdir) == [10, 20]


def test_a_member_that_diverges_ends_alone_and_stays_so(tmp_path):
    """The other is the run that it would be; started again, neither is trained again."""
    short = ("--config.num_steps=20", "--config.checkpoint_every=10", "--config.log_every=10")
    together, alone = tmp_path / "together", tmp_path / "alone"
    population = (*short, "--config.population.learning_rate=(2e-3, 1e30)")
    code, _, errors = runs.train(together, *population)
    assert code == 1
    bad, good = (RunDirectory(together / f"learning_rate_{rate}/seed_0") for rate in (1e30, 0.002))
    assert "1 of 2 members have diverged" in errors.splitlines()[-1]
    assert str(bad.path) in errors.splitlines()[-1]
    assert "is nan at step" in bad.failure or "is inf at step" in bad.failure
    assert good.failure is None
    assert list_steps(good.path) == [10, 20]
    assert list_steps(bad.path) == []
    assert runs.train(alone, *short, "--config.optimizer.learning_rate=2e-3")[0] == 0
    for a, b in zip(
        jax.tree.leaves(final_params(alone)), jax.tree.leaves(final_params(good.path)), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)
    code, output, errors = runs.train(together, *population)
    assert code == 1
    assert f"{good.path} is complete" in output
    assert "1 of 2 members have diverged" in errors
    assert list_steps(bad.path) == []


def test_where_all_members_diverge_the_program_ends(tmp_path):
    rates = "--config.population.learning_rate=(1e30, 2e30)"
    code, _, errors = runs.train(tmp_path, rates, "--config.log_every=2")
    assert code == 1
    assert errors.splitlines()[-1].startswith("error: 2 of 2 members have diverged")
