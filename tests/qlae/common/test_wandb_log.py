"""Reports to Weights & Biases, by the real package in its offline mode; and without it."""

import importlib.metadata
import importlib.util
import struct
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from qlae.common import logs
from qlae.common.wandb_log import find_project
from tests import runs

BLOCK, WHOLE, LAST = 32_768, 1, 4


@pytest.fixture
def wandb(monkeypatch, tmp_path):
    if importlib.util.find_spec("wandb") is None:
        warnings.warn("Weights & Biases is not installed: see make interop", stacklevel=1)
        pytest.skip("Weights & Biases is not installed")
    for name in ("CONFIG_DIR", "CACHE_DIR", "DATA_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("QLAE_WANDB", "disentanglement")


def read_rows(folder) -> list[dict[str, str]]:
    """Returns what an offline run's file holds of each step, as JSON texts."""
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob("*.wandb")
    records = map(wandb_internal_pb2.Record.FromString, split(path.read_bytes()))
    return [
        {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]


def split(data: bytes) -> Iterator[bytes]:
    """Yields the records of a log as LevelDB lays it out: blocks, and in them parts of records."""
    start, record = 7, b""
    while start < len(data):
        rest = BLOCK - start % BLOCK
        if rest < 7:  # too short for a part's checksum (4), length (2) and kind (1)
            start += rest
            continue
        length, kind = struct.unpack_from("<HB", data, start + 4)
        record += data[start + 7 : start + 7 + length]
        if kind in (WHOLE, LAST):
            yield record
            record = b""
        start += 7 + length


@pytest.mark.interop
@pytest.mark.process
def test_a_resumed_run_goes_on_in_the_same_place(wandb, tmp_path, capfd):
    ids = []
    for first_step in (0, 10):
        log = logs.open_logs(tmp_path / "run/logs/train", first_step + 1)
        log.add_hyperparameters({"seed": 3, "encoder.widths": [4, 8]})
        log.add_text("origin", "a < b", first_step)
        log.add_scalar("train/loss/total", 0.5, first_step + 5)
        log.add_scalar("train/loss/commit", 0.25, first_step + 5)
        log.add_histogram("codes", np.array([0, 1, 1]), first_step + 5)
        log.add_image("picture", np.zeros((4, 4, 3), np.uint8), first_step + 5)
        log.close()
        ids.append((tmp_path / "run/logs/train/wandb_run_id").read_text().strip())
    folders = sorted((tmp_path / "run/logs/wandb").glob("offline-run-*"))
    assert ids[0] == ids[1]
    assert [ids[0] in folder.name for folder in folders] == [True, True]
    first, second = (read_rows(folder) for folder in folders)
    assert [row["step"] for row in first + second] == ["0", "5", "10", "15"]
    assert (first[1]["train/loss/total"], first[1]["train/loss/commit"]) == ("0.5", "0.25")
    assert len(list(folders[0].rglob("*.png"))) == 1
    (text,) = folders[0].rglob("*.html")
    assert "a &lt; b" in text.read_text()
    assert capfd.readouterr() == ("", "")


@pytest.mark.interop
@pytest.mark.process
def test_training_and_evaluation_report_what_tensorboard_gets(wandb, tmp_path):
    run = tmp_path / "run"
    assert runs.train(run, "--config.num_steps=4", "--config.log_every=2")[0] == 0
    assert runs.run("eval.worker", f"--workdir={run}", "--once")[0] == 0
    rows = [row for path in (run / "logs/wandb").glob("offline-*") for row in read_rows(path)]
    name = "train/loss/total"
    losses = {int(row["step"]): float(row[name]) for row in rows if name in row}
    logged = runs.load_scalars(run, name)
    assert losses == pytest.approx(dict(logged))
    assert set(losses) == {2, 4}
    assert any("eval/heldout/infom" in row for row in rows)


def test_asked_for_and_not_installed_is_one_line(monkeypatch, tmp_path):
    def miss(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", miss)
    monkeypatch.setenv("QLAE_WANDB", "disentanglement")
    code, _, errors = runs.train(tmp_path / "run")
    assert (code, len(errors.splitlines())) == (2, 1)
    assert "pip install wandb" in errors
    assert not (tmp_path / "run").exists()


def test_nobody_asked(monkeypatch):
    monkeypatch.delenv("QLAE_WANDB", raising=False)
    assert find_project() is None


def test_a_service_that_fails_costs_no_curve(monkeypatch, tmp_path, capsys):
    def refuse(directory, project):
        raise ConnectionError("no answer")

    monkeypatch.setattr(logs, "find_project", lambda: "disentanglement")
    monkeypatch.setattr(logs, "WandbLog", refuse)
    log = logs.open_logs(tmp_path / "run/logs/train")
    log.add_scalar("train/loss/total", 0.5, 5)
    log.close()
    assert runs.load_scalars(tmp_path / "run", "train/loss/total") == [(5, 0.5)]
    assert capsys.readouterr().err == "\nno reports to Weights & Biases: no answer\n"
