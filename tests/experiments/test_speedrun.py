"""Speedruns: when InfoM first reached a target, in steps and in seconds."""

import json
import re

import pytest

from eval.records import write_record
from experiments import speedrun
from experiments.speedrun import Arrival
from qlae.common.errors import UserError
from qlae.common.logs import open_logs
from tests import runs
from tests.eval.test_results import make_record


def write_log(workdir, points):
    """Seconds by step; a tenth of them went into saving."""
    log = open_logs(workdir / "logs" / "train", 1)
    for step, seconds in points:
        for cause in speedrun.CAUSES:
            share = {"stepping": 0.7, "compile": 0.2, "saving": 0.1}.get(cause, 0.0)
            log.add_scalar(f"goodput/{cause}", share * seconds, step)
    log.close()


def write_scores(workdir, scores, split="validation"):
    for step, infom in scores.items():
        write_record(workdir, make_record(infom=infom, step=step, split=split))


def test_an_arrival_is_the_first_checkpoint_at_or_above_the_target(tmp_path):
    write_scores(tmp_path, {100: 0.5, 200: 0.91, 300: 0.89, 400: 0.95})
    write_scores(tmp_path, {50: 0.99}, split="test")
    write_log(tmp_path, [(0, 10), (400, 50)])
    assert speedrun.find_arrival(tmp_path, 0.9) == Arrival(200, pytest.approx(27))
    assert speedrun.find_arrival(tmp_path, 0.95) == Arrival(400, pytest.approx(45))
    assert speedrun.find_arrival(tmp_path, 0.96) is None


def test_a_run_without_its_log_is_named(tmp_path):
    write_scores(tmp_path, {100: 0.95})
    with pytest.raises(UserError, match="has no log of its seconds"):
        speedrun.find_arrival(tmp_path, 0.9)


def test_a_row_says_how_many_seeds_arrived():
    rows = [
        speedrun.make_row(0.9, [Arrival(1_000, 20.0), Arrival(3_000, 40.0)]),
        speedrun.make_row(0.9, [Arrival(1_000, 20.0), None]),
        speedrun.make_row(0.9, [None]),
    ]
    assert [row["seeds"] for row in rows] == ["2 of 2", "1 of 2", "0 of 1"]
    assert [row["steps"] for row in rows] == ["2,000 ± 1,414", "1,000", "-"]
    assert [row["seconds"] for row in rows] == ["30 ± 14", "20", "-"]


def test_records_are_added_to_those_before(tmp_path):
    speedrun.record([{"change": "first", "InfoM": 0.9}], tmp_path)
    speedrun.record([{"change": "second", "InfoM": 0.9}], tmp_path)
    rows = json.loads((tmp_path / "speedrun.json").read_text())["rows"]
    assert [row["change"] for row in rows] == ["first", "second"]
    table = (tmp_path / "speedrun.md").read_text()
    assert "| second |" in table
    assert "Machine:" in table


@pytest.mark.process
def test_seeds_are_trained_scored_and_counted(tmp_path):
    arguments = [f"--root={tmp_path}", f"--config={runs.TINY}", "--seeds=0,1", "--every=20"]
    arguments += ["--target=0.001", "--target=1.0", "--config.num_steps=40"]
    code, output, errors = runs.run_process("experiments.speedrun", *arguments)
    assert code == 0, errors
    reached, missed = [line for line in output.splitlines() if line.startswith("InfoM")]
    when = r"after 20 ± 0 steps, \d+ ± \d+ seconds"
    assert re.fullmatch(f"InfoM 0.001: 2 of 2 seeds reached it {when}", reached)
    assert missed == "InfoM 1.0: 0 of 2 seeds reached it"
    steps = sorted(path.name for path in (tmp_path / "seed_1" / "checkpoints").iterdir())
    assert steps == ["20", "40"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--target=0", "expected more than 0, at most 1"),
        ("--root=gs://bucket/runs", "is remote"),
        ("--every=0", "checkpoint_every"),
        ("--config.num_step=3", "num_steps"),
        ("--seeds=0-x", "is not a list such as"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, argument, message):
    arguments = [f"--root={tmp_path}", f"--config={runs.TINY}", argument]
    code, _, errors = runs.run("experiments.speedrun", *arguments)
    assert code == 2
    assert message in errors
    assert not list(tmp_path.iterdir())
