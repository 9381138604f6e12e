"""Reports go to every living member, on a thread that no step waits for."""

import io
import re
import threading

import numpy as np
import pytest
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from experiments import live_line, reporter
from experiments.config_file import load_config
from experiments.goodput import Goodput
from experiments.live_line import LiveLine
from experiments.members import Member
from experiments.population import Population
from qlae.common import event_log
from qlae.common.event_log import EventLog
from qlae.run_directory import RunDirectory
from tests import runs


class Clock:
    """Stands in for the module `time`, and says the given moments in turn."""

    def __init__(self, moments):
        self._moments = iter(moments)

    def monotonic(self):
        return next(self._moments)


@pytest.fixture
def population(tmp_path):
    config = load_config(runs.TINY)
    members = [Member(config, RunDirectory(tmp_path / f"seed_{seed}")) for seed in range(3)]
    for member in members:
        member.directory.path.mkdir()
    (tmp_path / "seed_1/FAILED").write_text("loss/total is nan at step 3\n")
    return Population(members)


@pytest.mark.process
def test_each_living_member_has_its_own_curve_and_the_line_their_mean(population, capsys):
    reporting = reporter.Reporter(population, num_steps=20, first_step=0, goodput=Goodput({}, 0))
    reporting.report(10, {"loss/total": np.array([1.0, np.nan, 3.0])})
    reporting.report(20, {"loss/total": np.array([2.0, np.nan, 4.0])})
    reporting.close()
    curves = [
        runs.load_scalars(member.directory.path, "train/loss/total")
        for member in population.members
    ]
    assert curves == [[(10, 1.0), (20, 2.0)], [], [(10, 3.0), (20, 4.0)]]
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("step 20/20")
    assert "loss 3.0000" in line
    progress = [member.directory.load_progress().get("step") for member in population.members]
    assert progress == [20, None, 20]


@pytest.mark.process
def test_every_start_says_what_it_began_with(population):
    folder = population.members[0].directory.path / "logs/train"
    for first_step in (0, 10):
        reporting = reporter.Reporter(population, 20, first_step, Goodput({}, first_step))
        reporting.report(first_step + 10, {"loss/total": np.ones(3)})
        reporting.close()
        # A start's file is named by the second.
        (path,) = folder.glob("events.out.*")
        path.rename(folder / f"events.{first_step}")
    events = [event for path in folder.glob("events*") for event in runs.read_events(path)]
    texts = {
        step: value.tensor.string_val[0].decode()
        for value, step in events
        if value.tag == "origin/trained_with/text_summary"
    }
    assert set(texts) == {0, 10}
    assert re.search(r"^- commit (\w{12}(-dirty)?|unknown)$", texts[10], re.MULTILINE)
    assert re.search(r"^- jax [\d.]+$", texts[10], re.MULTILINE)
    assert re.search(r"^- devices 8 of cpu$", texts[10], re.MULTILINE)
    session, *_ = {
        value.metadata.plugin_data.content
        for value, _ in events
        if value.tag == "_hparams_/session_start_info"
    }
    hparams = HParamsPluginData.FromString(session).session_start_info.hparams
    assert hparams["arm"].string_value == "qlae"
    assert hparams["optimizer.learning_rate"].number_value > 0


@pytest.mark.process
def test_a_report_does_not_wait_for_a_slow_disk(population, monkeypatch):
    may_write, written = threading.Event(), []

    def write(self, name, value, step):
        may_write.wait(60)
        if name == "train/loss/total":
            written.append(step)

    monkeypatch.setattr(EventLog, "add_scalar", write)
    reporting = reporter.Reporter(population, num_steps=30, first_step=0, goodput=Goodput({}, 0))
    for step in (10, 20, 30):
        reporting.report(step, {"loss/total": np.ones(3)})
    assert written == []  # and yet we are here
    may_write.set()
    reporting.close()
    assert written == [10, 10, 20, 20, 30, 30]


@pytest.mark.process
def test_a_disk_that_fails_does_not_stop_training_and_is_told_once(population, monkeypatch, capsys):
    def write(self, name, value, step):
        raise OSError("No space left on device")

    monkeypatch.setattr(EventLog, "add_scalar", write)
    reporting = reporter.Reporter(population, num_steps=20, first_step=0, goodput=Goodput({}, 0))
    reporting.report(10, {"loss/total": np.ones(3)})
    reporting.report(20, {"loss/total": np.ones(3)})
    reporting.close()
    errors = capsys.readouterr().err
    assert errors.count("reports are not written: No space left on device") == 1


def test_a_remote_file_is_written_now_and_then_and_at_the_end(tmp_path, monkeypatch):
    moments = [0.0, 1.0, 2.0, 40.0, 40.0, 41.0, 42.0]
    monkeypatch.setattr(event_log, "is_remote", lambda path: True)
    monkeypatch.setattr(event_log, "time", Clock(moments))
    log = EventLog(tmp_path / "logs")
    sizes = []
    for step in range(4):
        log.add_scalar("loss", 1.0, step)
        log.flush()
        sizes.append(sum(path.stat().st_size for path in (tmp_path / "logs").glob("*")))
    assert sizes[0] == sizes[1] == 0
    assert 0 < sizes[2] == sizes[3]
    log.close()
    assert [step for _, step in runs.read_events(next((tmp_path / "logs").iterdir()))] == [
        0,
        1,
        2,
        3,
    ]


def test_progress_is_noted_at_most_once_a_second_and_at_the_end(tmp_path, monkeypatch):
    moments = np.arange(0, 100, 0.125)
    monkeypatch.setattr(live_line, "time", Clock(moments))
    noted = []
    run = RunDirectory(tmp_path)
    monkeypatch.setattr(run, "write_progress", lambda progress: noted.append(progress["step"]))
    line = LiveLine([run], 100, 0, Goodput({}, 0), io.StringIO())
    for step in range(1, 11):
        line.show(step, {"loss/total": 1.0})
    line.close()
    assert noted[0] == 1
    assert noted[-1] == 10
    assert 3 <= len(noted) <= 10
