"""The benchmark of arms measures what it says."""

import pytest

from experiments.benchmarks import arms

pytestmark = pytest.mark.process


def test_a_row_has_costs_of_an_arm_beside_qlae(capsys):
    arguments = ["--arms=ae,qlae", "--config=tests/configs/tiny.py", "--repeats=2", "--dry_run"]
    arms.main(arguments)
    lines = capsys.readouterr().err.splitlines()
    rows = [eval(line) for line in lines if line.startswith("{")]
    assert [row["arm"] for row in rows] == ["`ae`", "`qlae`"]
    assert min(row["step, ms"] for row in rows) > 0
    assert min(row["memory, MB"] for row in rows) > 0
    fewer, more = (int(row["parameters"].replace(",", "")) for row in rows)
    assert more == fewer + 12 * 10  # the codebook
