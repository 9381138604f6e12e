"""Records survive the disk unchanged, and a broken one is named."""

import dataclasses
import json
import math

import numpy as np
import pytest

from eval.records import RULES, Record, load_records, record_path, write_record
from qlae.common.errors import UserError
from tests import runs


def make_record(**changes):
    values = {
        "model": "qlae",
        "dataset": "shapes3d",
        "seed": 3,
        "protocol": "heldout",
        "step": 5000,
        "metric_version": "1",
        "num_samples": 10_000,
        "scores": {"infom": 0.5, "psnr": 31.0},
        "errors": {"dci": "UserError: too few"},
        "source_names": ["floor_hue", "wall_hue"],
        "nmi_SxZ": [[0.5, 0.25], [0.0, 1.0]],
        "active_latents": [True, False],
        "versions": {"numpy": "2.4"},
        "config_id": "abc",
    }
    return Record(**{**values, **changes})


def test_round_trip(tmp_path):
    record = make_record()
    path = write_record(tmp_path, record)
    assert path == tmp_path / "eval" / "heldout" / "step_000005000.metrics_1.json"
    assert load_records(tmp_path) == [record]


def test_order_and_overwriting(tmp_path):
    for step in (20_000, 5000, 1_000_000_000):
        write_record(tmp_path, make_record(step=step))
    write_record(tmp_path, make_record(step=5000, scores={"infom": 0.75}))
    write_record(tmp_path, make_record(step=5000, protocol="compositional"))
    records = load_records(tmp_path)
    assert [(record.protocol, record.step) for record in records[:3]] == [
        ("compositional", 5000),
        ("heldout", 5000),
        ("heldout", 20_000),
    ]
    assert records[1].scores == {"infom": 0.75}
    assert len(records) == 4


def test_arrays_and_numpy_scalars_become_plain_json(tmp_path):
    record = make_record(
        scores={"infom": np.float32(0.5), "infoe": math.nan},
        nmi_SxZ=np.eye(2),
        active_latents=np.array([True, False]),
    )
    values = json.loads(write_record(tmp_path, record).read_text())
    assert values["scores"] == {"infom": 0.5, "infoe": None}
    assert values["nmi_SxZ"] == [[1, 0], [0, 1]]
    (loaded,) = load_records(tmp_path)
    assert math.isnan(loaded.scores["infoe"])


def test_unfinished_and_foreign_files_are_not_records(tmp_path):
    path = write_record(tmp_path, make_record())
    (path.parent / f".{path.name}.0.unfinished").write_text("{")
    (path.parent / "notes.json").write_text("{}")
    (path.parent / "step_000005000").mkdir()
    (path.parent.parent / "stray.json").write_text("{}")
    assert len(load_records(tmp_path)) == 1


def test_a_later_field_is_ignored_and_a_missing_one_is_an_error(tmp_path):
    path = write_record(tmp_path, make_record())
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "later": 1}))
    assert load_records(tmp_path) == [make_record()]
    del values["seed"]
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="is not a record"):
        load_records(tmp_path)


def test_truncated_record_is_named(tmp_path):
    path = write_record(tmp_path, make_record())
    path.write_text(path.read_text()[:40])
    with pytest.raises(UserError, match=r"step_000005000\.metrics_1\.json"):
        load_records(tmp_path)


def test_no_records(tmp_path):
    assert load_records(tmp_path) == []


def test_names_that_leave_the_directory_are_refused(tmp_path):
    with pytest.raises(UserError, match="cannot name a file"):
        record_path(tmp_path, "../heldout", 1, "1")


WRONG = {
    "model": [3, None, ["qlae"]],
    "dataset": [None],
    "seed": [-1, 1.5, "0", True, 2**32],
    "protocol": ["../heldout", 3, ""],
    "step": [-1, 0.5, "10", None, True],
    "metric_version": [2, "", None],
    "num_samples": [0, -5, 2.5, "many"],
    "scores": [[], 3, {"infom": "high"}, {"infom": [0.5]}, {"infom": True}],
    "errors": [[], {"dci": 3}],
    "source_names": ["hue", [1, 2], None],
    "nmi_SxZ": [3, [1, 2], [[0.5], [0.5, 1]], [["a", 1], [0, 1]], [[-1, 0], [0, 1]], [[0.5, 0.5]]],
    "active_latents": [3, [1, 0], ["yes", "no"], [True]],
    "versions": [[], {"numpy": 2}],
    "config_id": [3, None],
    "matmul_precision": [3, ""],
    "split": [3, "../test"],
    "dialect": [None, ""],
    "decisions": [[], {"bins": 3}],
    "ceilings": [[], {"infom": "1"}, {"infom": None}],
    "latent_sample": [3, [[1], [1, 2]], [["a"]]],
    "metrics": [3, [1], ["../mig"], None],
}


def test_every_field_has_a_rule():
    assert set(WRONG) == set(RULES) == {field.name for field in dataclasses.fields(Record)}


@pytest.mark.parametrize("name", WRONG)
def test_a_field_that_cannot_be_is_named(tmp_path, name):
    path = write_record(tmp_path, make_record())
    (tmp_path / "config.json").write_text("{}")  # a run is where that is
    values = json.loads(path.read_text())
    for wrong in WRONG[name]:
        path.write_text(json.dumps({**values, name: wrong}))
        with pytest.raises(UserError, match=rf"{path.name} is not a record \(.*{name}") as error:
            load_records(tmp_path)
        assert "\n" not in str(error.value)
        code, _, errors = runs.run("eval.results", str(tmp_path))
        assert (code, len(errors.splitlines())) == (2, 1)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "NaN", "[" * 100_000, "\x00"])
def test_what_is_no_object_is_no_record(tmp_path, text):
    path = write_record(tmp_path, make_record())
    path.write_text(text)
    with pytest.raises(UserError, match="is not a record"):
        load_records(tmp_path)
