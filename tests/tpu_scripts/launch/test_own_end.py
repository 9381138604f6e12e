"""The startup script of every worker: nobody's machine deletes itself, others' are left alone."""

import contextlib
import http.server
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from tpu_scripts.launch.queued_resource import OWN_END

pytestmark = pytest.mark.process
RESOURCE = "projects/p/locations/z/queuedResources/run"


@pytest.fixture
def services():
    """Plays the metadata server and the TPU service: attributes, and what was deleted."""
    attributes = {"agent-worker-number": "0", "launch-resource": RESOURCE}
    attributes["launch-setup-seconds"] = "3600"
    deleted: list[tuple[str, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            answer = json.dumps({"access_token": "secret", "expires_in": 1})
            self._answer(answer if name == "token" else attributes.get(name))

        def do_DELETE(self) -> None:
            deleted.append((self.path, self.headers["Authorization"]))
            self._answer("{}")

        def _answer(self, text: str | None) -> None:
            self.send_response(404 if text is None else 200)
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, format, *arguments) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", attributes, deleted
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def boot(services, tmp_path):
    """Runs the script as a worker does when it boots; ends its watch after the test."""
    url, _, _ = services
    groups = []

    def boot() -> None:
        environment = {
            **os.environ,
            "LAUNCH_METADATA": url,
            "LAUNCH_API": f"{url}/v2",
            "LAUNCH_STATE": str(tmp_path / "state"),
            "LAUNCH_INTERVAL": "0.1",
        }
        process = subprocess.Popen([str(OWN_END)], env=environment, start_new_session=True)
        groups.append(process.pid)
        assert process.wait() == 0

    yield boot
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def wait_until(condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise TimeoutError


def test_a_machine_that_is_never_set_up_deletes_itself(services, boot):
    _, attributes, deleted = services
    attributes["launch-setup-seconds"] = "0"
    boot()
    wait_until(lambda: deleted)
    assert deleted == [(f"/v2/{RESOURCE}?force=true", "Bearer secret")]


def test_a_job_keeps_its_machine_until_it_has_ended(services, boot, tmp_path):
    """The deadline is what the job writes: far off, then past."""
    _, attributes, deleted = services
    end = tmp_path / "state/end"
    attributes["launch-setup-seconds"] = "0"
    end.parent.mkdir()
    end.write_text(str(int(time.time()) + 3600))
    boot()
    time.sleep(1)
    assert deleted == []
    end.write_text("not a number")  # A write that was broken off changes nothing.
    time.sleep(0.5)
    assert deleted == []
    end.write_text(str(int(time.time())))
    wait_until(lambda: deleted)


def test_only_worker_0_watches(services, boot, tmp_path):
    _, attributes, deleted = services
    attributes.update({"agent-worker-number": "3", "launch-setup-seconds": "0"})
    boot()
    assert not (tmp_path / "state").exists()
    assert deleted == []
