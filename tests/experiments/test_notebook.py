"""The notebook, executed in Jupyter from top to bottom."""

import nbclient
import nbformat
import pytest

from tests import runs

pytestmark = pytest.mark.process
NOTEBOOK = runs.ROOT / "experiments" / "colab" / "restore_checkpoint.ipynb"
SHIPPED = NOTEBOOK.parent / "quickstart"
# What Colab need not install.
BLOCKED = "grain", "tensorflow_datasets", "array_record", "tensorboardX"


def read_cells() -> list:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def execute(workdir, monkeypatch) -> list:
    """Returns what the cells put out, on a run."""
    monkeypatch.setenv("WORKDIR", str(workdir))
    blocking = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED}))"
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(blocking), *read_cells()],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
    nbclient.NotebookClient(notebook, timeout=240, resources=resources).execute()
    return [output for cell in notebook.cells for output in cell.outputs]


def check(outputs: list) -> None:
    """Four pictures, a score, and no warning."""
    streams = [output for output in outputs if output.output_type == "stream"]
    assert [output.name for output in streams] == ["stdout"], streams
    assert "InfoM 0." in streams[0].text
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4


def test_it_has_at_most_eight_short_cells():
    cells = [cell.source.splitlines() for cell in read_cells()]
    assert len(cells) <= 8
    assert all(len(lines) <= 15 for lines in cells)


@pytest.mark.parametrize("model", ["qlae", "beta_vae"])
def test_it_runs_on_a_new_checkpoint(tmp_path, monkeypatch, model):
    config = f"tests/configs/tiny.py:{model}"
    assert runs.train(tmp_path / "run", "--config.num_steps=10", config=config)[0] == 0
    check(execute(tmp_path / "run", monkeypatch))


def test_it_runs_on_the_checkpoint_that_is_shipped(monkeypatch):
    check(execute(SHIPPED, monkeypatch))
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 1_500_000
