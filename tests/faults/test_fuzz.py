"""A few random mistakes on every surface; `make faults` makes hundreds."""

import pytest

from qlae.run_directory import RunDirectory
from tests.faults import fuzz
from tests.faults.outcome import Outcome


@pytest.mark.parametrize(
    ("do", "tries"), [(fuzz.fuzz_overrides, 4), (fuzz.fuzz_records, 6), (fuzz.fuzz_arrays, 30)]
)
def test_a_mistake_is_a_line(do, tries, tmp_path):
    outcome = do(tmp_path, tries, seed=1)
    assert outcome.tried == tries
    assert outcome.is_clean


def test_what_is_wrong_is_seen(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    surface = fuzz.Surface("nothing")
    surface.attempt("a line", tmp_path, "eval.results", str(tmp_path / "absent"))
    assert surface.outcome == Outcome("fuzz: nothing", tried=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eval.results.main", lambda arguments: 1 // 0)
        surface.attempt("a defect", tmp_path, "eval.results")
        patch.setattr("eval.results.main", lambda arguments: 2)
        surface.attempt("no line", tmp_path, "eval.results")
        patch.setattr("eval.results.main", lambda arguments: (tmp_path / "config.json").unlink())
        surface.attempt("deletes", tmp_path, "eval.results")
    assert surface.outcome.wrong_bits == 3
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("ZeroDivisionError", "without a line", "changed"))


def test_a_reason_that_is_no_text_is_one(tmp_path):
    (tmp_path / "FAILED").write_bytes(b"\xbc\x00")
    assert RunDirectory(tmp_path).failure
    (tmp_path / "FAILED").write_bytes(b"")
    assert RunDirectory(tmp_path).failure == "nothing says why"
