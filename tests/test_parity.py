"""Every golden file through the project's own builders, steps and optimizers."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parity.check import check

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(path for path in GOLDEN.glob("*.npz") if path.name != "infomec_cases.npz")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_float64_equals_the_authors_code(path):
    assert_passes(check(path, "float64"))


# One of each kind; the others take as long again: python -m tests.parity --dtype=float32 FILE.npz
FLOAT32 = ("qlae", "qlae_global", "qlae_fixed_values", "opt_ae", "quantized_infogan")


@pytest.mark.parametrize("name", FLOAT32)
def test_float32_is_within_rounding(name):
    assert_passes(check(GOLDEN / f"{name}.npz", "float32"))


def assert_passes(report):
    assert report.kinds
    failed = [(kind.name, *kind.worst) for kind in report.kinds.values() if not kind.passed]
    assert not failed


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
