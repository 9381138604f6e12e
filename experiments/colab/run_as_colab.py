"""Runs the notebook as a user of Colab would, here; `make colab` makes the environment for it.

    build/colab/bin/python experiments/colab/run_as_colab.py LOG

The first cell clones this repository's last commit in place of GitHub's, and installs it with the
extra `colab`. What the cells print goes to LOG, and their pictures' sizes.
"""

import importlib.metadata
import os
import platform
import struct
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GITHUB = "https://github.com/OWNER/qlae"  # as the first cell has it
PACKAGES = "jax", "jax-cuda12-plugin", "flax", "orbax-checkpoint", "optax", "numpy", "matplotlib"
# Colab's kernels have loaded this module, by which the first cell, and JAX, know where they are.
LIKE_COLAB = """
import sys, types
sys.modules["google.colab"] = types.ModuleType("google.colab")
sys.modules["google.colab"].output = None
"""


def main(log: str) -> None:
    """Runs all cells in an empty directory; writes the log when all of them have run."""
    lines = []
    for line in run(nbformat.read(HERE / "restore_checkpoint.ipynb", as_version=4)):
        print(line, flush=True)
        lines.append(line)
    Path(log).write_text("\n".join(lines) + "\n")


def run(notebook: Any) -> Iterator[str]:
    """Yields the log's lines; raises nbclient's `CellExecutionError` where a cell fails."""
    yield "experiments/colab/restore_checkpoint.ipynb"
    yield f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} CPU cores"
    before = list_versions()
    yield f"installed before: {join(before)}"
    redirect_github()
    notebook.cells.insert(0, nbformat.v4.new_code_cell(LIKE_COLAB))
    with tempfile.TemporaryDirectory() as content:
        client = nbclient.NotebookClient(
            notebook, timeout=1800, resources={"metadata": {"path": content}}
        )
        with client.setup_kernel():
            for index, cell in enumerate(notebook.cells):
                began = time.perf_counter()
                client.execute_cell(cell, index)
                if index and cell.cell_type == "code":
                    yield f"\n[{cell.execution_count - 1}] {time.perf_counter() - began:.1f} s"
                    yield from map(describe, cell.outputs)
    after = list_versions()
    changed = {name: version for name, version in after.items() if before.get(name) != version}
    yield f"\nof these, the first cell changed: {join(changed) or 'none'}"


def list_versions() -> dict[str, str]:
    """Returns package -> version, of those installed."""
    found = {each.name.lower(): each.version for each in importlib.metadata.distributions()}
    return {name: found[name] for name in PACKAGES if name in found}


def join(versions: dict[str, str]) -> str:
    """Returns versions as text."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def redirect_github() -> None:
    """Lets git clone this repository where GitHub's is asked for, here and in the kernel alone."""
    os.environ |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{ROOT}.insteadOf",
        "GIT_CONFIG_VALUE_0": GITHUB,
    }


def describe(output: Any) -> str:
    """Returns what an output shows as text: of a picture its size, of errors the last line."""
    if output.output_type == "stream":
        lines = output.text.rstrip().splitlines()
        return output.text.rstrip() if output.name == "stdout" else f"stderr: [...] {lines[-1]}"
    if "image/png" in output.data:
        width, height = struct.unpack(">II", b64decode(output.data["image/png"])[16:24])
        return f"<picture, {width}x{height}>"
    return output.data["text/plain"]


if __name__ == "__main__":
    main(*sys.argv[1:])
