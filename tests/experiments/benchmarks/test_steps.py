"""The benchmark of steps measures what it says, and compares with what is committed."""

import json

import pytest

from experiments.benchmarks import report, steps

pytestmark = pytest.mark.process


def test_a_row_has_times_counts_and_shares():
    row = steps.measure(steps.Case("tests/configs/tiny.py", 16), 2, (1e9, 1e9), start=False)
    assert (row["batch"], row["members"], row["cycle, steps"]) == (16, 1, 1)
    assert min(row["step, ms"], row["forward, ms"], row["compile, s"], row["GFLOP"]) > 0
    share = 100 * row["GFLOP"] / (row["step, ms"] / 1e3)
    assert abs(row["of matmul, %"] / share - 1) < 1e-9


def test_changes_are_told_by_row(monkeypatch):
    before = {"machine": {"date": "2026-01-01"}, "rows": [{"config": "a", "step, ms": 2.0}]}
    monkeypatch.setattr(report, "_load_committed", lambda name: json.loads(json.dumps(before)))
    rows = [{"config": "a", "step, ms": 1.0}, {"config": "b", "step, ms": 1.0}]
    changes = report.format_changes("any", rows, ("config",), ("step, ms",))
    assert changes == ["a: step, ms x0.50 of 2026-01-01"]


def test_without_a_committed_report_that_is_said():
    changes = report.format_changes("no such report", [], ("config",), ("step, ms",))
    assert changes == ["no committed no such report.json to compare with"]
