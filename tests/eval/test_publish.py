"""A copy of what runs found: small, and read as the runs are."""

import numpy as np
import pytest
from PIL import Image

from eval import publish
from eval.records import load_records
from qlae.common.command_line import run_command
from tests.eval.test_figures import save
from tests.eval.test_results import run as run_results


def run(capsys, *arguments):
    code = run_command(publish.main, [str(argument) for argument in arguments])
    return code, *capsys.readouterr()


@pytest.fixture
def root(tmp_path):
    """Five runs with what is not to be copied beside what is."""
    root = tmp_path / "runs"
    save(root)
    one = root / "qlae" / "0"
    for step in (100, 200):
        folder = one / "eval" / "heldout" / f"step_{step:09d}"
        folder.mkdir()
        Image.fromarray(np.full((2, 2), step, np.uint8)).save(folder / "nmi.png")
    (one / "checkpoints" / "200").mkdir(parents=True)
    (one / "progress.json").write_text("{}")
    (root / "ae" / "1" / "FAILED").write_text("diverged\n")
    return root


def test_the_copy_gives_the_same_tables(root, tmp_path, capsys):
    out = tmp_path / "published"
    assert run(capsys, root, f"--out={out}") == (0, f"{out}: 5 runs\n", "")
    code, table, notes = run_results(capsys, root, "--against=ae", "--format=markdown")
    copied = run_results(capsys, out, "--against=ae", "--format=markdown")
    assert copied == (code, table, notes.replace(str(root), str(out)))
    assert "failed (diverged)" in notes


def test_checkpoints_logs_samples_and_earlier_pictures_stay(root, tmp_path, capsys):
    out = tmp_path / "published"
    run(capsys, root, f"--out={out}")
    files = {str(path.relative_to(out / "qlae" / "0")) for path in out.glob("qlae/0/**/*")}
    assert {file for file in files if "." in file.rpartition("/")[2]} == {
        "config.json",
        "eval/heldout/step_000000200.metrics_1.json",
        "eval/heldout/step_000000200/nmi.png",
        "eval/heldout-validation/step_000000100.metrics_1.json",
        "eval/heldout-validation/step_000000200.metrics_1.json",
    }
    assert "checkpoints" not in files
    assert all(record.latent_sample is None for record in load_records(out / "qlae" / "0"))


def test_published_again_it_is_replaced_and_later_runs_are_added(root, tmp_path, capsys):
    out = tmp_path / "published"
    run(capsys, root / "qlae", f"--out={out}")
    assert run(capsys, root / "qlae", f"--out={out}")[0] == 0
    assert len(list(out.glob("*/config.json"))) == 3


@pytest.mark.parametrize(
    ("root", "out", "message"),
    [
        ("empty", "out", "no evaluated run at"),
        ("runs", "runs/out", "choose a directory outside"),
        ("runs", "file", "Not a directory"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, capsys, root, out, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    save(tmp_path / "runs")
    code, printed, error = run(capsys, tmp_path / root, f"--out={tmp_path / out}")
    assert (code, printed) == (2, "")
    assert message in error
    assert error.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"
