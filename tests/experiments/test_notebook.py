"""The notebook from top to bottom: in Jupyter where that is installed, and cell by cell."""

import json
import os
import subprocess
import sys
import warnings

import pytest

from tests import runs

pytestmark = pytest.mark.process
NOTEBOOK = runs.ROOT / "experiments" / "colab" / "restore_checkpoint.ipynb"
SHIPPED = NOTEBOOK.parent / "quickstart"
BLOCKED = "grain", "tensorflow_datasets", "array_record", "tensorboardX"


def list_cells() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def execute(workdir) -> None:
    """Runs the cells in order, in a process without the packages that Colab need not install."""
    blocking = f"import sys\nsys.modules.update(dict.fromkeys({BLOCKED}))\n"
    done = subprocess.run(
        [sys.executable, "-c", blocking + "\n".join(list_cells())],
        cwd=NOTEBOOK.parent,
        env=os.environ | {"WORKDIR": str(workdir), "JAX_PLATFORMS": "cpu"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "InfoM 0." in done.stdout
    assert done.stderr == ""


def test_it_has_at_most_eight_short_cells():
    cells = list_cells()
    assert len(cells) <= 8
    assert all(len(cell.splitlines()) <= 15 for cell in cells)


@pytest.mark.parametrize("model", ["qlae", "beta_vae"])
def test_it_runs_on_a_new_checkpoint(tmp_path, model):
    config = f"tests/configs/tiny.py:{model}"
    assert runs.train(tmp_path / "run", "--config.num_steps=10", config=config)[0] == 0
    execute(tmp_path / "run")


def test_it_runs_on_the_checkpoint_that_is_shipped():
    execute(SHIPPED)
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 1_500_000


def test_it_runs_in_jupyter():
    try:
        import ipykernel  # noqa: F401
        import nbclient
        import nbformat
    except ImportError as error:
        warnings.warn(f"the notebook was not run in Jupyter: {error}", stacklevel=1)
        pytest.skip(str(error))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, resources={"metadata": {"path": NOTEBOOK.parent}}).execute()
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 4
