"""The real gcloud against services played on loopback: what is billed in the end, in each scenario.

A gcloud takes a second to start, so that most of these run in `make interop` only.
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
from tests.tpu_scripts.launch.tpu_api import Refusal, TpuApi
from tpu_scripts.launch import command

ROOT = pathlib.Path(__file__).parents[3]
GCLOUD = shutil.which("gcloud")
pytestmark = pytest.mark.skipif(
    GCLOUD is None, reason="the real gcloud (google-cloud-cli) is not installed"
)
SLOW = pytest.mark.interop
ON_FOUR = ("--topology=v5e:4x4", "--request_timeout=20")
QUOTA = Refusal(429, "RESOURCE_EXHAUSTED", "Quota limit 'TPUV5sLitepodPerProject' exhausted")
CAPACITY = Refusal(429, "RESOURCE_EXHAUSTED", "There is no more capacity in the zone us-west4-a")
NO_ACCELERATOR = Refusal(
    400, "FAILED_PRECONDITION", "Accelerator v5litepod-1 was not found in zone us-west4-a"
)


@pytest.fixture
def api(tmp_path, install_programs, monkeypatch):
    """The services, with ssh and scp stubs on PATH and every gcloud call written down."""
    binaries = install_programs(ssh="ssh.py", scp="ssh.py", python3_11="python311.py")
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
        code = command.main([*flags, "--poll_seconds=0.3", "--worker_timeout=20", *more])
        captured = capsys.readouterr()
        note(code)
        return code, captured.out, captured.err

    def note(code: int) -> None:
        log = tmp_path / "gcloud.log"
        sent = log.read_text().splitlines() if log.exists() else []
        words = ("create", "describe", "ssh", "scp", "delete", "list")
        verbs = [next((w for w in line.split() if w in words), "?") for line in sent]
        counts = ", ".join(f"{verbs.count(w)} {w}" for w in words if w in verbs)
        reached = len(read_ssh(api))
        left = ", ".join(api.resources) or "nothing"
        name = request.node.name.removeprefix("test_").replace("_", " ")
        record_property("launch", f"| {name} | {counts} | {reached} | {left} | {code} |")

    launch.note = note
    return launch


def read_ssh(api: TpuApi) -> list[list[str]]:
    path = api.root / "ssh.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_success(api, launch):
    """Nothing is left, and every worker trained once; a key was made on the way."""
    code, out, err = launch("--provisioning=spot", "--config.seed=3")
    assert (err, code) == ("", 0)
    assert "experiments.train start 1 on run:0/0 with tpu,cpu" in out
    assert out.count("experiments.train leaves with 0") == 1
    assert api.resources == {}
    (body,) = api.created
    assert body["spot"] == {}
    assert body["queueingPolicy"]["validUntilDuration"] == "30s"
    node = body["tpu"]["nodeSpec"][0]["node"]
    assert node["labels"] == {"made-by": "qlae-launch"}
    assert node["metadata"]["launch-resource"].endswith("locations/us-west4-a/queuedResources/run")
    assert node["metadata"]["startup-script"].startswith("#!/bin/bash\n")


@SLOW
def test_success_on_four_workers(api, launch):
    code, _, err = launch(*ON_FOUR)
    assert (err, code) == ("", 0)
    starts = sorted(path.name for path in api.root.glob("starts-run:*"))
    assert starts == [f"starts-run:0-{worker}" for worker in range(4)]
    first, *_ = read_ssh(api)
    assert first[1] == "run:0/0"
    assert api.resources == {}
