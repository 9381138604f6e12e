"""`make run`: trainer and worker together, ended by a table and pictures."""

import os
import re

import pytest

from experiments import quickstart as quick
from tests import runs

pytestmark = pytest.mark.process


def quickstart(workdir, *overrides):
    return runs.run_process(
        "experiments.quickstart", f"--workdir={workdir}", f"--config={runs.TINY}", *overrides
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Returns a run's directory, as `make run` gives it, and what was said on the way."""
    folder = tmp_path_factory.mktemp("quickstart") / "run"
    workdir = os.path.relpath(folder, runs.ROOT)
    code, output, errors = quickstart(workdir)
    assert code == 0, errors
    return folder, workdir, output, errors


def test_it_trains_scores_and_shows_a_table_then_says_that_it_is_complete(finished):
    folder, workdir, output, errors = finished
    rows = re.findall(r"^ +(\d+)  +(\d\.\d{3})", output, re.MULTILINE)
    assert [int(step) for step, _ in rows] == [10, 20, 30, 40]
    assert output.splitlines()[-1] == f"{workdir}/report/index.html"
    assert (folder / "report" / "index.html").stat().st_size > 50_000
    assert "on 2 cpu device(s)" in errors
    assert re.search(r"step 40/40 · [\d.]+ steps/s · ETA 0:00 · loss 0\.\d+", errors)
    code, output, _ = quickstart(workdir)
    assert code == 0
    assert "is complete" in output
    assert re.findall(r"^ +(\d+)  ", output, re.MULTILINE) == ["10", "20", "30", "40"]


def test_another_config_is_refused_and_the_run_left_as_it_is(finished):
    folder, workdir, *_ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    code, _, errors = quickstart(workdir, "--config.num_steps=20")
    assert code == 2
    assert "holds a run of another config: num_steps is 40 there and 20 here" in errors
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


class FakeProcess:
    """A trainer that is asked to end."""

    def __init__(self, command, code=None):
        self.command, self.code = command, code

    def poll(self):
        return self.code

    def wait(self):
        return self.code

    def terminate(self):
        self.code = 143


@pytest.fixture
def started(monkeypatch):
    """The commands that it starts, none of which runs."""
    processes = []

    def start(module, *arguments, log=None, env=None):
        processes.append(FakeProcess([module, *arguments]))
        return processes[-1]

    monkeypatch.setattr(quick, "_start", start)
    return processes


def test_home_is_found_before_anything_is_started(started, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(quick, "_wait_for_progress", lambda trainer, workdir: False)
    monkeypatch.setattr(FakeProcess, "wait", lambda self: 2)
    assert runs.run("experiments.quickstart", "--workdir=~/x")[0] == 2
    assert f"--workdir={tmp_path}/x" in started[0].command


def test_whatever_happens_the_trainer_is_not_left_alone(started, monkeypatch, tmp_path):
    def fail(trainer, workdir):
        raise PermissionError("worker.log")

    monkeypatch.setattr(quick, "_wait_for_progress", fail)
    code, _, errors = runs.run("experiments.quickstart", f"--workdir={tmp_path}")
    assert (code, errors) == (2, "error: worker.log\n")
    assert started[0].code == 143
