"""Every golden file through the project's own builders, steps and optimizers."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parity.check import check

GOLDEN = Path(__file__).parent / "golden"
METRICS = {"guard_grid", "infomec_cases", "infomec_dialects"}  # Their tests are eval.metrics'.
FILES = sorted(path for path in GOLDEN.glob("*.npz") if path.stem not in METRICS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_float64_equals_the_authors_code(path):
    report = check(path, "float64")
    assert report.kinds
    assert not [(kind.name, *kind.worst) for kind in report.kinds.values() if not kind.passed]


def test_command_prints_the_worst_errors_and_refuses_other_files(tmp_path):
    other = tmp_path / "other.npz"
    shutil.copy(GOLDEN / "infomec_cases.npz", other)
    command = [sys.executable, "-m", "tests.parity"]
    root = Path(__file__).parents[1]
    good = subprocess.run(
        [*command, str(GOLDEN / "opt_ae.npz")], cwd=root, capture_output=True, text=True
    )
    assert good.returncode == 0
    assert "after5" in good.stdout
    bad = subprocess.run([*command, str(other)], cwd=root, capture_output=True, text=True)
    assert bad.returncode == 2
    assert "is not a golden file" in bad.stderr
