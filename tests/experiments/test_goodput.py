"""Every second of training has one cause, over all starts."""

import json

import pytest

from experiments import goodput
from experiments.goodput import CAUSES, Goodput, resume_goodput
from qlae.run_directory import RunDirectory
from tests import runs


class Clock:
    """Stands in for the module `time`; a second passes whenever it is told so."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(goodput, "time", clock)
    return clock


def take_steps(stopwatch, clock, step, count):
    """Takes steps of 1 s, each waiting a quarter second for its batch."""

    def draw():
        while True:
            clock.now += 0.25
            yield "batch"

    batches = stopwatch.watch_batches(draw())

    def take_step(state):
        next(batches)
        clock.now += 1
        return state + 1, {}

    watched = stopwatch.watch_steps(take_step, step)
    for _ in range(count):
        step, _ = watched(step)
    return step


def test_each_cause_has_its_seconds(clock):
    stopwatch = Goodput({}, 0, age=3.0)
    clock.now += 1
    stopwatch.enter("restore")
    clock.now += 2
    stopwatch.enter("compile")
    clock.now += 5
    assert take_steps(stopwatch, clock, 0, 4) == 4
    clock.now += 0.5  # until the metrics have come
    stopwatch.enter("saving")
    clock.now += 7
    assert stopwatch.read() == {
        "start": 4.0,
        "restore": 2.0,
        "compile": 5.0,
        "repeated": 0.0,
        "data": 1.0,
        "saving": 7.0,
        "stepping": 4.5,
    }
    assert sum(stopwatch.read().values()) == clock.now - 100 + 3


def test_steps_that_were_lost_are_counted_as_good_once(clock, tmp_path):
    first = Goodput({}, 0)
    take_steps(first, clock, 0, 10)
    run = RunDirectory(tmp_path)
    run.write_progress({"step": 10, "seconds": first.read()})
    again = resume_goodput(run)  # from the checkpoint of step 6: steps 7 to 10 are lost
    take_steps(again, clock, 6, 8)
    seconds = again.read()
    assert seconds["repeated"] == 4.0
    assert seconds["stepping"] == 10.0 + 4.0
    assert seconds["data"] == (10 + 8) / 4


@pytest.mark.parametrize(
    "progress", ["", "[]", '{"seconds": []}', '{"seconds": {"start": "x"}, "step": -1}']
)
def test_what_cannot_be_read_is_none(tmp_path, progress):
    (tmp_path / "progress.json").write_text(progress)
    seconds = resume_goodput(RunDirectory(tmp_path)).read()
    assert set(seconds) == set(CAUSES)
    assert seconds["stepping"] == 0


@pytest.mark.process
def test_a_run_notes_it_and_a_restart_adds_to_it(tmp_path):
    arguments = ("--config.num_steps=6", "--config.checkpoint_every=3", "--config.log_every=1")
    assert runs.train(tmp_path, *arguments)[0] == 0
    first = json.loads((tmp_path / "progress.json").read_text())["seconds"]
    assert set(first) == set(CAUSES)
    assert all(first[cause] > 0 for cause in CAUSES if cause != "repeated")
    assert first["repeated"] == 0
    (tmp_path / "checkpoints/6").rename(tmp_path / "lost")
    assert runs.train(tmp_path, *arguments)[0] == 0
    second = json.loads((tmp_path / "progress.json").read_text())["seconds"]
    assert all(second[cause] >= first[cause] for cause in CAUSES)
    assert second["repeated"] > 0
    logged = runs.load_scalars(tmp_path, "goodput/stepping")
    assert logged[-1][0] == 6
    assert 0 < logged[-1][1] <= second["stepping"] + 1e-3
