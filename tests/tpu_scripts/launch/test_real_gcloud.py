"""The real gcloud against services played on loopback: what is billed in the end, in each scenario.

A gcloud takes a second to start, so that all but the first run in `make interop` only.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.tpu_scripts.launch.conftest import Cloud, reaping
from tests.tpu_scripts.launch.services import Refusal
from tests.tpu_scripts.launch.tpu_api import TpuApi
from tpu_scripts.launch import command

ROOT = pathlib.Path(__file__).parents[3]
GCLOUD = shutil.which("gcloud")
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        GCLOUD is None, reason="the real gcloud (google-cloud-cli) is not installed"
    ),
]
SLOW = pytest.mark.interop
CREATE = "POST /v2/projects/my-project/locations/us-west4-a/queuedResources"
ALL_FOUR = [f"run:0/{worker}" for worker in range(4)]
ON_FOUR = ("--topology=v5e:4x4",)
QUOTA = Refusal(429, "RESOURCE_EXHAUSTED", "Quota limit 'TPUV5sLitepodPerProject' exhausted")
CAPACITY = Refusal(429, "RESOURCE_EXHAUSTED", "There is no more capacity in the zone us-west4-a")
NO_ACCELERATOR = Refusal(
    400, "FAILED_PRECONDITION", "Accelerator v5litepod-1 was not found in zone us-west4-a"
)


@pytest.fixture
def api(tmp_path, install_programs, monkeypatch):
    """The services, with ssh and scp stubs on PATH and every gcloud call written down."""
    binaries = install_programs({"ssh": "ssh", "scp": "ssh", "python3.11": "python311"})
    (binaries / "gcloud").write_text(
        f'#!/bin/sh\necho "$*" | head -1 >>{tmp_path}/gcloud.log\nexec {GCLOUD} "$@"\n'
    )
    (binaries / "gcloud").chmod(0o755)
    (tmp_path / "home").mkdir()
    settings = {
        "CLOUDSDK_CONFIG": str(tmp_path / "home/gcloud"),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "True",
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "False",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "True",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "True",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with TpuApi(tmp_path / "cloud").serve() as api:
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_TPU", f"{api.url}/")
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", f"{api.url}/compute/v1/")
        cloud = Cloud(api.root)
        with reaping(cloud):
            api.play = cloud.play
            yield api
            cloud.kill_all()


@pytest.fixture
def launch(api, project, flags, capsys, record_property, request, tmp_path):
    """Launches with the real gcloud: returns (exit code, output, error line), and notes the row."""

    def launch(*more: str) -> tuple[int, str, str]:
        code = command.main([*flags, "--poll_seconds=0.3", "--worker_timeout=120", *more])
        captured = capsys.readouterr()
        note(code)
        return code, captured.out, captured.err

    def note(code: int) -> None:
        """Notes what was sent and left, for the table that conftest.py prints."""
        log = tmp_path / "gcloud.log"
        sent = log.read_text().splitlines() if log.exists() else []
        words = ("create", "describe", "ssh", "scp", "delete", "list")
        verbs = [next((w for w in line.split() if w in words), "?") for line in sent]
        counts = ", ".join(f"{verbs.count(w)} {w}" for w in words if w in verbs)
        reached = len(read_ssh(api))
        left = ", ".join(api.billed) or "nothing"
        name = request.node.name.removeprefix("test_").replace("_", " ")
        record_property("launch", f"| {name} | {counts} | {reached} | {left} | {code} |")

    return launch


def test_success(api, launch):
    """Nothing is left, and every worker trained once; a key was made on the way."""
    code, out, err = launch("--provisioning=spot", "--config.seed=3")
    assert (err, code) == ("", 0)
    assert "experiments.train start 1 on run:0/0 with tpu,cpu" in out
    assert out.count("experiments.train leaves with 0") == 1
    assert api.resources == {}
    (body,) = api.created
    assert body["spot"] == {}
    assert body["queueingPolicy"]["validUntilDuration"] == "600s"
    node = body["tpu"]["nodeSpec"][0]["node"]
    assert node["labels"] == {"made-by": "qlae-launch"}
    assert node["metadata"]["launch-resource"].endswith("locations/us-west4-a/queuedResources/run")
    assert node["metadata"]["startup-script"].startswith("#!/bin/bash\n")


@SLOW
def test_quota(api, launch):
    """A refusal for good makes nothing, and is not repeated."""
    api.refusals = [QUOTA]
    code, _, err = launch()
    assert (code, len(api.created)) == (2, 0)
    assert "over quota" in err
    assert "Quota limit 'TPUV5sLitepodPerProject' exhausted" in err
    assert api.requests.count(CREATE) == 1


@SLOW
def test_node_not_found(api, launch):
    """The request is active, and its node is not there: no ssh, and nothing left."""
    api.node_states["run"] = None
    code, _, err = launch("--worker_timeout=2")
    assert code == 1
    assert "1 of 1 workers of run never came up in 2 s (slice/worker): 0/0" in err
    assert read_ssh(api) == []
    assert api.resources == {}


@SLOW
def test_no_such_accelerator_in_the_zone(api, launch):
    api.refusals = [NO_ACCELERATOR]
    code, _, err = launch()
    assert code == 2
    assert "invalid request" in err
    assert api.requests.count(CREATE) == 1


@SLOW
def test_refused_for_capacity_once(api, launch):
    api.refusals = [CAPACITY]
    code, out, err = launch()
    assert (err, code) == ("", 0)
    assert "no capacity" in out
    assert (api.requests.count(CREATE), api.resources) == (2, {})


@SLOW
def test_four_workers_beside_an_agent_with_another_key(api, launch, foreign_agent):
    code, _, err = launch(*ON_FOUR)
    assert (err, code) == ("", 0)
    starts = sorted(path.name for path in api.root.glob("starts-run:*"))
    assert starts == [f"starts-run:0-{worker}" for worker in range(4)]
    assert {call[1] for call in read_ssh(api) if call[0] == "scp"} == set(ALL_FOUR)
    assert api.resources == {}


@SLOW
def test_preempted_while_starting(api, launch):
    api.states = [["WAITING_FOR_RESOURCES", "PROVISIONING", "SUSPENDED"], ["ACTIVE"]]
    code, out, err = launch()
    assert (err, code) == ("", 0)
    assert "run is SUSPENDED; trying again" in out
    assert (len(api.created), api.resources) == (2, {})


@SLOW
def test_preempted_while_training(api, launch, when_trained):
    api.play(train=[[300, 0], [0.2, 0]])
    when_trained(lambda: api.lose("run", "SUSPENDED"))
    code, out, err = launch()
    assert (err, code) == ("", 0)
    assert "start 2 on run:0/0" in out
    assert (len(api.created), api.resources) == (2, {})


@SLOW
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


@SLOW
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


@SLOW
def test_worker_3_fails(api, launch):
    """What is deterministic on any worker is final."""
    api.play(train={"0/3": [[0.1, 1]], "else": [[0.5, 134]]})
    code, out, err = launch(*ON_FOUR)
    assert code == 1
    assert "train failed on worker 0/3 with exit code 1" in err
    assert "--- worker 0/1: ended with exit code 134" in out
    assert (len(api.created), api.resources) == (1, {})


@SLOW
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


@SLOW
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


@SLOW
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


@SLOW
def test_deletion_fails_once(api, launch):
    api.delete_refusals = [Refusal(409, "ABORTED", "Another operation is in progress.")]
    code, out, err = launch()
    assert (err, code) == ("", 0)
    assert "not deleted (ERROR: (gcloud.compute.tpus.queued-resources.delete) ABORTED: " in out
    assert len([one for one in api.requests if one.startswith("DELETE")]) == 2
    assert api.resources == {}


@SLOW
def test_bucket_that_refuses(api, launch):
    api.play(bucket=[2, "gs://bucket/runs/run refuses this machine's service account"])
    code, _, err = launch()
    assert code == 2
    assert "refuses this machine's service account" in err
    assert not list(api.root.glob("starts-*"))
    assert api.resources == {}


@SLOW
def test_evaluator_on_a_vm(api, launch):
    """It runs beside, ends after training, and has an end of its own."""
    api.play(train=[[1, 0]], evaluate=[1, 0])
    code, out, err = launch("--evaluator=vm", "--service_account=trainer@my-project.example.com")
    assert (err, code) == ("", 0)
    assert "[evaluate] eval.worker start 1 on run-eval:0/0 with cpu" in out
    assert "[evaluate] evaluate ended well" in out
    (body,) = api.compute.created
    assert body["scheduling"]["maxRunDuration"] == {"seconds": str(600 + 14 * 24 * 3600)}
    assert body["scheduling"]["instanceTerminationAction"] == "DELETE"
    assert body["labels"] == {"made-by": "qlae-launch"}
    (account,) = body["serviceAccounts"]
    assert account["email"] == "trainer@my-project.example.com"
    assert account["scopes"] == ["https://www.googleapis.com/auth/cloud-platform"]
    assert api.billed == []


@SLOW
def test_evaluator_refused(api, launch):
    """Training does not depend on it, and says how to evaluate later."""
    api.play(train=[[1, 0]])
    api.compute.refusals = [Refusal(403, "QUOTA_EXCEEDED", "Quota 'N2_CPUS' exceeded. Limit: 0")]
    code, out, err = launch("--evaluator=vm")
    assert (err, code) == ("", 0)
    assert "warning: the evaluator ended, training goes on: cannot create 'run-eval'" in out
    assert "[train] train ended well" in out
    assert (api.compute.created, api.billed) == ([], [])


@SLOW
def test_list_and_delete(api, launch, capsys):
    """Only what carries the project's label."""
    place = "/v2/projects/my-project/locations/us-west4-a/queuedResources?queuedResourceId="
    for name, labels in (("others", {}), ("run", {"made-by": "qlae-launch"})):
        node = {"acceleratorType": "v5litepod-1", "labels": labels}
        api.answer("POST", f"{place}{name}", {"tpu": {"nodeSpec": [{"node": node}]}})
    where = ("--project=my-project", "--zone=us-west4-a")
    assert command.main(["--list", *where]) == 0
    assert capsys.readouterr().out == "run  v5litepod-1  WAITING_FOR_RESOURCES\n"
    assert command.main(["--delete", *where]) == 0
    assert "deleted run" in capsys.readouterr().out
    assert list(api.resources) == ["others"]


@pytest.fixture
def foreign_agent(tmp_path, monkeypatch):
    """An ssh agent that holds a key which is not gcloud's."""
    key, socket = tmp_path / "other", tmp_path / "agent"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", str(key)], check=True)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    wait_until(socket.exists)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    subprocess.run(["ssh-add", "-q", str(key)], check=True)
    yield
    agent.terminate()
    agent.wait()


@pytest.fixture
def when_trained(api):
    """Does something in a thread once a worker trains."""
    threads = []

    def when_trained(act, worker: str = "0-0") -> None:
        def watch() -> None:
            wait_until((api.root / f"starts-run:{worker}").exists)
            time.sleep(3)  # The log is followed by then.
            act()

        threads.append(threading.Thread(target=watch))
        threads[-1].start()

    yield when_trained
    for thread in threads:
        thread.join()


def break_network(api: TpuApi, seconds: float) -> None:
    """Lets neither service nor workers be reached for a while."""
    scenario = json.loads((api.root / "scenario.json").read_text())
    api.is_away = True
    api.play(**scenario, dead_now=["0/0"])
    time.sleep(seconds)
    api.is_away = False
    api.play(**scenario)


def wait_until(condition) -> None:
    """Waits for what is certain to come."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.1)
    raise TimeoutError


def read_ssh(api: TpuApi) -> list[list[str]]:
    """Returns every ssh and scp that reached a stub: program, worker, arguments."""
    path = api.root / "ssh.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
