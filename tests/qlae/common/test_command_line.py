"""What ends a command: one line on stderr, and an exit code that says whether to try again."""

import subprocess
import sys

import pytest
from gcsfs.retry import HttpError

from qlae.common.command_line import Parser, format_duration, run_command
from qlae.common.errors import RunFailed, StorageError, UserError, make_unknown_name_error
from qlae.common.files import to_path


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


def test_codes_are_passed_on_and_none_is_done():
    assert run_command(lambda arguments: 143, []) == 143
    assert run_command(lambda arguments: None, []) == 0


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
