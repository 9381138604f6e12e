"""Every golden file through the project's own builders, steps and optimizers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.parity.check import check

GOLDEN = Path(__file__).parent / "golden"
METRICS = {"guard_grid", "infomec_cases", "infomec_dialects"}  # Their tests are eval.metrics'.
FILES = sorted(path for path in GOLDEN.glob("*.npz") if path.stem not in METRICS)


@pytest.mark.heavy
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_float64_equals_the_authors_code(path):
    report = check(path, "float64")
    assert report.kinds
    assert not [(kind.name, *kind.worst) for kind in report.kinds.values() if not kind.passed]


@pytest.mark.process
def test_command_prints_the_worst_errors_and_refuses_other_files(tmp_path):
    other = tmp_path / "other.npz"
    np.savez(other, numbers=np.arange(3))
    command = [sys.executable, "-m", "tests.parity", str(GOLDEN / "fsq.npz"), str(other)]
    done = subprocess.run(command, cwd=GOLDEN.parents[1], capture_output=True, text=True)
    assert done.returncode == 2
    assert "differing entries  at z_indices: ok" in done.stdout
    assert "other.npz is not a golden file" in done.stderr
