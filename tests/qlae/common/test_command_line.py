"""What ends a command: one line on stderr, and an exit code that says whether to try again."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import fsspec.config
import pytest
from gcsfs.retry import HttpError

from qlae.common import command_line, credentials
from qlae.common.command_line import Parser, format_duration, run_command
from qlae.common.errors import RunFailed, StorageError, UserError, make_unknown_name_error
from qlae.common.files import to_path
from tests import runs


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("no such\nthing"), 2),
        (FileNotFoundError("no such thing"), 2),
        (PermissionError("no such thing"), 2),
        (RunFailed("no such thing"), 1),
        (StorageError("no such thing"), 75),
        (OSError("no such thing"), 75),
        (ConnectionError("no such thing"), 75),
        (KeyError("no such thing"), 2),
    ],
)
def test_an_error_is_one_line_and_a_code(error, code, capsys):
    def main(arguments):
        raise error

    assert run_command(main, [], mistakes=(KeyError,)) == code
    assert capsys.readouterr().err.replace("'", "") == "error: no such thing\n"


def test_a_defect_is_not_hidden():
    def main(arguments):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        run_command(main, [])


@pytest.mark.process
@pytest.mark.parametrize("platforms", ["tpux", "cuda"])
def test_a_backend_that_is_not_there_is_a_mistake(platforms):
    body = f"""
import os
os.environ["JAX_PLATFORMS"] = {platforms!r}
import jax
from qlae.common.command_line import run_command
raise SystemExit(run_command(lambda arguments: jax.devices(), []))
"""
    ended = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True)
    assert ended.returncode == 2, ended.stderr
    line = ended.stderr.splitlines()[-1]
    assert line.startswith(f"error: JAX_PLATFORMS={platforms}: ")
    assert "expected cpu, tpu or cuda" in line


def test_codes_are_passed_on_and_none_is_done():
    assert run_command(lambda arguments: 143, []) == 143
    assert run_command(lambda arguments: None, []) == 0


def test_sigterm_gives_back_what_is_held_and_is_a_line(capsys, monkeypatch):
    held, codes, before = ["a lease"], [], signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(command_line.os, "_exit", codes.append)

    def main(arguments):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            held.clear()

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with contextlib.suppress(UnboundLocalError):  # where the process would have ended
            run_command(main, [])
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
    assert codes == [143]
    assert not held
    assert capsys.readouterr().err == "stopped as asked; the same command goes on from here\n"


def test_a_wrong_flag_is_a_mistake(capsys):
    def main(arguments):
        Parser("a.module", "What it does.").parse_args(arguments)

    assert run_command(main, ["--no"]) == 2
    assert capsys.readouterr().err == "error: unrecognized arguments: --no (see --help)\n"


def run_script(body):
    script = f"""
import sys
from qlae.common.command_line import run_command
def main(arguments):
    {body}
sys.exit(run_command(main))
"""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


@pytest.mark.process
def test_sigterm_ends_what_does_not_let_go():
    lines = (
        "import os, signal, time",
        "from qlae.common import command_line",
        "command_line._GRACE = 0.2",
        "try:",
        "    os.kill(os.getpid(), signal.SIGTERM)",
        "finally:",
        "    time.sleep(600)",
    )
    process = run_script("\n    ".join(lines))
    assert (process.returncode, process.stderr) == (143, "")


@pytest.mark.process
def test_ctrl_c_is_one_line():
    finished = run_script("raise KeyboardInterrupt")
    assert finished.returncode == 130
    assert finished.stderr == "interrupted; the same command goes on from here\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3661, "1:01:01")]
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text


def test_unknown_names_point_at_the_nearest():
    error = make_unknown_name_error("metric", "infomek", ["mig", "infomec"])
    assert str(error) == "unknown metric 'infomek': did you mean 'infomec'? valid: infomec, mig"
    assert "valid: mig" in str(make_unknown_name_error("metric", 3, ["mig"]))


def test_what_a_stores_libraries_raise_is_worth_another_try(capsys):
    def main(arguments):
        raise HttpError({"code": 503, "message": "slow down"})

    assert run_command(main, []) == 75
    assert "the store did not answer as it should" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["s3://bucket/run", "file:///run", "gcs://bucket"])
def test_other_stores_are_refused_in_one_line(path):
    with pytest.raises(UserError, match=r"expected a local directory or gs://BUCKET/PATH"):
        to_path(path)


def test_every_command_ends_as_this_one_does():
    """Ctrl-C, too, is one line of each of them; benchmarks are for those who read tracebacks."""
    rooms = ("qlae", "data_pipelines", "eval", "experiments", "tpu_scripts")
    commands = [
        path
        for room in rooms
        for path in (runs.ROOT / room).rglob("*.py")
        # What measures, what shows others how, what runs where none of this is installed.
        if path.parent.name not in ("benchmarks", "examples", "colab")
        and re.search(r'^if __name__ == "__main__":$', path.read_text(), re.MULTILINE)
    ]
    assert len(commands) > 10
    for path in commands:
        assert "run_command(" in path.read_text(), f"{path} meets its user in another way"


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_a_mistake(seconds, tmp_path):
    code, _, errors = runs.run("eval.worker", f"--workdir={tmp_path}", f"--poll={seconds}")
    assert code == 2
    assert errors.startswith("error: argument --poll")
    assert len(errors.splitlines()) == 1


@pytest.fixture
def no_credentials(monkeypatch, tmp_path):
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "GCE_METADATA_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1:1")  # where nobody answers
    monkeypatch.setitem(fsspec.config.conf, "gcs", {})
    credentials._has_metadata.cache_clear()
    yield
    credentials._has_metadata.cache_clear()


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("experiments.train", [f"--config={runs.TINY}", "--workdir=gs://bucket/run"]),
        ("eval.worker", ["--workdir=gs://bucket/run"]),
        ("eval.results", ["gs://bucket/run"]),
        ("experiments.sweeps", ["--root=gs://bucket", "--dry_run", "--arms=ae", "--seeds=0"]),
    ],
)
def test_without_credentials_every_command_says_so_at_once(module, arguments, no_credentials):
    code, _, errors = runs.run(module, *arguments)
    assert code == 2
    assert "this machine has no Google Cloud credentials; run `gcloud auth" in errors
    assert len(errors.splitlines()) == 1


def test_credentials_of_any_kind_are_enough(no_credentials, monkeypatch, tmp_path):
    file = tmp_path / "gcloud/application_default_credentials.json"
    file.parent.mkdir()
    file.write_text("{}")
    credentials.check_credentials("gs://bucket")
    file.unlink()
    with pytest.raises(UserError, match="no Google Cloud credentials"):
        credentials.check_credentials("gs://bucket")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "key.json")
    credentials.check_credentials("gs://bucket")
