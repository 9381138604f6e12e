"""What is lost while a launch runs: machines, workers, the network, the launcher itself."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.tpu_scripts.launch.real_gcloud.services import NEEDS_GCLOUD, wait_until
from tests.tpu_scripts.launch.real_gcloud.tpu_api import TpuApi

ROOT = pathlib.Path(__file__).parents[4]
ON_FOUR = ("--topology=v5e:4x4",)
pytestmark = [pytest.mark.process, pytest.mark.interop, NEEDS_GCLOUD]


def test_preempted_while_starting(api, launch):
    api.states = [["WAITING_FOR_RESOURCES", "PROVISIONING", "SUSPENDED"], ["ACTIVE"]]
    code, out, err = launch()
    assert (err, code) == ("", 0)
    assert "run is SUSPENDED; trying again" in out
    assert (len(api.created), api.resources) == (2, {})


def test_preempted_while_training(api, launch, when_trained):
    api.play(train=[[300, 0], [0.2, 0]])
    when_trained(lambda: api.lose("run", "SUSPENDED"))
    code, out, err = launch()
    assert (err, code) == ("", 0)
    assert "start 2 on run:0/0" in out
    assert (len(api.created), api.resources) == (2, {})


def test_worker_0_dies(api, launch, when_trained):
    """Its machine is active, and it is out of reach: the machine is made again."""
    api.play(train=[[300, 0], [0.2, 0]])

    def die() -> None:
        api.play(train=[[300, 0], [0.2, 0]], dead_now=["0/0"])
        wait_until(lambda: len(api.created) == 2)
        api.play(train=[[0.2, 0]])

    when_trained(die)
    code, out, err = launch("--worker_timeout=40", "--request_timeout=40")
    assert (err, code) == ("", 0)
    assert "run is active, but its first worker is out of reach" in out
    assert (len(api.created), api.resources) == (2, {})


def test_worker_3_dies(api, launch, when_trained):
    """The others are taken along; the machine is made again."""
    plays = {"0/3": [[300, 0], [0.2, 0]], "else": [[20, 134], [0.2, 0]]}
    api.play(train=plays)

    def die() -> None:
        api.play(train=plays, dead_now=["0/3"])
        wait_until(lambda: len(api.created) == 2)
        api.play(train=plays)

    when_trained(die, worker="0-3")
    code, out, err = launch(*ON_FOUR, "--worker_timeout=40", "--request_timeout=40")
    assert (err, code) == ("", 0)
    assert "train lost worker 0/3, which is out of reach" in out
    assert (len(api.created), api.resources) == (2, {})


def test_worker_3_fails(api, launch):
    """What is deterministic on any worker is final."""
    api.play(train={"0/3": [[0.1, 1]], "else": [[0.5, 134]]})
    code, out, err = launch(*ON_FOUR)
    assert code == 1
    assert "train failed on worker 0/3 with exit code 1" in err
    assert "--- worker 0/1: ended with exit code 134" in out
    assert (len(api.created), api.resources) == (1, {})


def test_network_gone_for_a_while(api, launch, when_trained):
    """Nothing is deleted for it, and no line of the log is told twice."""
    api.play(train=[[90, 0]])
    when_trained(lambda: break_network(api, 60))
    code, out, err = launch("--request_timeout=40", "--worker_timeout=40")
    assert (err, code) == ("", 0)
    assert "no sight of run, which is left alone meanwhile: " in out
    assert "run is in sight again: ACTIVE" in out
    assert out.count("experiments.train start 1") == 1
    assert (len(api.created), api.resources) == (1, {})
    assert len([one for one in api.requests if one.startswith("DELETE")]) == 1


def test_network_gone_for_good_then_attached(api, launch, when_trained):
    """The launcher ends with 75 and says what is left; --attach takes it up, and deletes it."""
    api.play(train=[[120, 0]])
    when_trained(lambda: break_network(api, 90))
    code, _, err = launch("--request_timeout=40", "--outage_timeout=1")
    assert (code, list(api.resources)) == (75, ["run"])
    assert "run is left as it is, and it deletes itself 1 h after its job" in err
    assert "the same command with --attach goes on with it" in err
    wait_until(lambda: not api.is_away)
    code, out, err = launch("--attach")
    assert (err, code) == ("", 0)
    assert "experiments.train start 1 on run:0/0" in out
    assert (len(api.created), api.resources) == (1, {})


def test_launcher_killed_then_attached(api, launch, flags):
    """From another process, as from another machine: what runs is followed, not started again."""
    api.play(train=[[40, 0]])
    arguments = [sys.executable, "-m", "tpu_scripts.launch", *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "experiments.train start 1" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert list(api.resources) == ["run"]
    code, out, err = launch("--attach")
    assert (err, code) == ("", 0)
    assert "experiments.train leaves with 0" in out
    assert (api.root / "starts-run:0-0").read_text() == "1"
    assert (len(api.created), api.resources) == (1, {})


def break_network(api: TpuApi, seconds: float) -> None:
    """Lets neither service nor workers be reached for a while."""
    scenario = json.loads((api.root / "scenario.json").read_text())
    api.is_away = True
    api.play(**scenario, dead_now=["0/0"])
    time.sleep(seconds)
    api.is_away = False
    api.play(**scenario)
