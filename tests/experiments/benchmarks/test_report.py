"""Benchmark reports: medians, files and tables."""

import json

from experiments.benchmarks import report


def test_median_counts_calls():
    calls = []
    assert report.median_seconds(lambda: calls.append(1), 3) >= 0
    assert len(calls) == 4


def test_report_is_written_as_json_and_markdown(tmp_path, capsys):
    rows = [{"what": "ours", "seconds": 0.123456}, {"what": "theirs", "ratio": 1234.5}]
    report.write_report("speed", "Speed", rows, "Run it again.", tmp_path)
    values = json.loads((tmp_path / "speed.json").read_text())
    assert values["rows"] == rows
    assert values["machine"]["packages"]["numpy"] != "not installed"
    text = (tmp_path / "speed.md").read_text()
    assert "| ours | 0.123 |  |" in text
    assert "| theirs |  | 1234 |" in text
    assert "| what | seconds | ratio |" in capsys.readouterr().out
