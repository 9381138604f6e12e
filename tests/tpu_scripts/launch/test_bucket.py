"""What worker 0 finds of a run's bucket before it trains."""

import pytest

from qlae.common.command_line import run_command
from qlae.common.errors import StorageError, UserError
from tpu_scripts.launch import bucket


def test_nothing_is_left_of_the_trial(tmp_path, capsys):
    assert run_command(bucket.main, [f"--workdir={tmp_path}/runs/run"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out == ["[launch] bucket written, read and deleted", "[launch] newest -1"]
    assert list((tmp_path / "runs/run").iterdir()) == []


@pytest.mark.parametrize("place", ["", "member_1/"])
def test_newest_is_that_of_a_run_or_its_members(tmp_path, capsys, place):
    for step in ("8", "16", "24.unfinished"):
        (tmp_path / place / "checkpoints" / step).mkdir(parents=True)
    assert run_command(bucket.main, [f"--workdir={tmp_path}", "--newest"]) == 0
    assert capsys.readouterr().out == "[launch] newest 16\n"


class HttpError(Exception):
    """As gcsfs has one: no OSError, with the code of the answer."""

    def __init__(self, code: int):
        super().__init__(f"answer {code}")
        self.code = code


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (HttpError(403), UserError),
        (FileNotFoundError("b/o/x"), UserError),
        (HttpError(503), StorageError),
        (OSError("no route"), StorageError),
    ],
)
def test_a_refusal_is_a_mistake_and_silence_is_not(monkeypatch, error, expected):
    def refuse(path):
        raise error

    monkeypatch.setattr(bucket, "to_path", refuse)
    with pytest.raises(expected, match=r"gs://b/run (refuses|does not answer)"):
        bucket.try_writing("gs://b/run")
