"""A launcher, the real gcloud and the services that are played for it; a table of what was sent."""

import subprocess
import threading
import time

import pytest

from tests.tpu_scripts.launch.conftest import Cloud, reaping
from tests.tpu_scripts.launch.real_gcloud.services import GCLOUD, wait_until
from tests.tpu_scripts.launch.real_gcloud.tpu_api import TpuApi
from tpu_scripts.launch import command


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
def note(api, record_property, request, tmp_path):
    """Notes what was sent so far and is left, for the table at the end."""

    def note(code: int) -> None:
        log = tmp_path / "gcloud.log"
        sent = log.read_text().splitlines() if log.exists() else []
        words = ("create", "describe", "ssh", "scp", "delete", "list")
        verbs = [next((w for w in line.split() if w in words), "?") for line in sent]
        counts = ", ".join(f"{verbs.count(w)} {w}" for w in words if w in verbs)
        reached = len(api.read_ssh())
        left = ", ".join(api.billed) or "nothing"
        name = request.node.name.removeprefix("test_").replace("_", " ")
        record_property("launch", f"| {name} | {counts} | {reached} | {left} | {code} |")

    return note


@pytest.fixture
def launch(api, project, flags, capsys, note):
    """Launches with the real gcloud: returns (exit code, output, error line), and notes the row."""

    def launch(*more: str) -> tuple[int, str, str]:
        code = command.main([*flags, "--poll_seconds=0.3", "--worker_timeout=120", *more])
        captured = capsys.readouterr()
        note(code)
        return code, captured.out, captured.err

    return launch


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


def pytest_terminal_summary(terminalreporter):
    """Prints what was sent and left in each scenario with the real gcloud."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    rows = [
        value
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "launch" and report.when == "call"
    ]
    if rows:
        terminalreporter.section("launches with the real gcloud")
        terminalreporter.write_line("| scenario | gcloud commands | ssh, scp | left | exit code |")
        terminalreporter.write_line("|---|---|---|---|---|")
        for row in sorted(rows):
            terminalreporter.write_line(row)
