"""Which checkpoints are kept: the newest, milestones, and what the evaluator has not scored."""

import pytest

from eval.scoring import find_record
from experiments.config_file import load_config
from experiments.members import make_members
from experiments.population import Population
from experiments.retention import make_retire
from qlae.run_directory import RunDirectory
from tests import runs


def make_population(path, keep_newest, keep_every, seeds=1):
    config = load_config(runs.TINY)
    config.checkpoints.update({"keep_newest": keep_newest, "keep_every": keep_every})
    config.population.seeds = seeds
    return Population(make_members(config, RunDirectory(path)))


def score(population, *steps, member=0, split="test"):
    for step in steps:
        found = population.members[member]
        path = find_record(found.directory.path, found.config, step, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")


def test_every_arm_keeps_what_its_config_says(tmp_path):
    assert make_retire(make_population(tmp_path, 0, 0)) is None
    paper = load_config("experiments/configs/qlae.py:shapes3d").checkpoints
    assert (paper.keep_newest, paper.keep_every) == (3, 50_000)
    assert load_config("experiments/configs/quickstart.py").checkpoints.keep_newest == 0


@pytest.mark.parametrize(
    ("keep_newest", "keep_every", "expected"),
    [(1, 0, [5, 10, 15, 20]), (2, 0, [5, 10, 15]), (2, 10, [5, 15]), (9, 0, [])],
)
def test_the_newest_and_milestones_are_kept(tmp_path, keep_newest, keep_every, expected):
    population = make_population(tmp_path, keep_newest, keep_every)
    score(population, 5, 10, 15, 20, 25)
    found = make_retire(population)({0: [5, 10, 15, 20, 25]})
    assert found.get(0, []) == expected


def test_what_is_not_scored_is_kept(tmp_path):
    population = make_population(tmp_path, 1, 0)
    retire = make_retire(population)
    assert retire({0: [5, 10, 15, 40]}) == {0: []}
    score(population, 10)
    score(population, 15, split="validation")  # which is not what this config asks for
    assert retire({0: [5, 10, 15, 40]}) == {0: [10]}


def test_the_newest_that_all_members_have_is_kept(tmp_path):
    population = make_population(tmp_path, 1, 0, seeds=2)
    for member in (0, 1):
        score(population, 5, 10, 15, member=member)
    # The second could not save steps 10 and 15.
    assert make_retire(population)({0: [5, 10, 15], 1: [5]}) == {0: [], 1: []}
    assert make_retire(population)({0: [5, 10, 15], 1: [5, 15]}) == {0: [5, 10], 1: [5]}
