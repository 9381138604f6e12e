"""The data benchmark runs and reports, here on few images and against a stand-in peer."""

import dataclasses
import json
import sys

import pytest

from data_pipelines.specs import Source
from experiments.benchmarks import data_pipeline

pytestmark = pytest.mark.process

PEER = f"""#!{sys.executable}
import json, sys
print(json.dumps({{"tensorflow": "0.0"}}), flush=True)
for line in sys.stdin:
    print(json.dumps({{"images_per_second": 1000.0, "processor_us": 9.0}}), flush=True)
"""


def test_report_has_a_row_for_every_input(tmp_path, monkeypatch):
    def few(dataset):
        sources = [Source(s.name, s.values[:1]) for s in dataset.spec.sources[:3]]
        return dataclasses.replace(dataset.spec, sources=(*sources, *dataset.spec.sources[3:]))

    monkeypatch.setattr(data_pipeline, "smaller_spec", few)
    python, scratch = tmp_path / "python", tmp_path / "scratch"
    scratch.mkdir()
    python.write_text(PEER)
    python.chmod(0o755)
    rows = data_pipeline.run(scratch, str(python), repeats=1, seconds=0.05)
    assert [row["input"] for row in rows] == [
        "Grain from RAM",
        "Grain from array_record",
        "Grain from the renderer",
        "rendered inside the step",
        "tf.data over PNG (tensorflow 0.0)",
    ]
    assert all(row["images/s (median)"] > 0 for row in rows)
    assert rows[-1]["times tf.data"] == 1
    json.dumps(rows)
