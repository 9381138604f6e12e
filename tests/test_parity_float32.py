"""Golden files in float32, within rounding: apart, so that two processes share parity."""

from pathlib import Path

import pytest

from tests.parity.check import check

GOLDEN = Path(__file__).parent / "golden"
# One of each kind; the others take as long again: python -m tests.parity --dtype=float32 FILE.npz
FLOAT32 = ("qlae", "qlae_global", "qlae_fixed_values", "opt_ae", "quantized_infogan")


@pytest.mark.heavy
@pytest.mark.parametrize("name", FLOAT32)
def test_float32_is_within_rounding(name):
    report = check(GOLDEN / f"{name}.npz", "float32")
    assert report.kinds
    assert not [(kind.name, *kind.worst) for kind in report.kinds.values() if not kind.passed]
