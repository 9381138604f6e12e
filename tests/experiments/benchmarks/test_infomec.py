"""The InfoMEC benchmark measures the same numbers on both sides."""

import numpy as np
import pytest

from experiments.benchmarks import infomec


@pytest.mark.heavy
@pytest.mark.parametrize(("discrete", "layout"), [(True, "sparse"), (True, "dense"), (False, "")])
def test_both_sides_agree(discrete, layout):
    # Among very few samples scikit-learn rounds distances, so real values need more of them.
    sources, codes, values = infomec.make_arrays(300 if discrete else 1000)
    latents = codes if discrete else values
    rows = infomec.compare(sources, latents, discrete, layout, repeats=1)
    assert [row["part"] for row in rows] == ["NMI", "InfoE", "all"]
    assert rows[0]["difference"] < (1e-9 if discrete else 1e-4)
    assert rows[1]["difference"] < 2e-3
    assert all(row["ratio"] == pytest.approx(row["scikit-learn"] / row["ours"]) for row in rows)


def test_arrays_are_what_the_goal_names():
    sources, codes, values = infomec.make_arrays(2000)
    assert tuple(sources.max(axis=0) + 1) == infomec.CARDINALITIES
    assert [len(np.unique(column)) for column in codes.T] == [10] * 12
    assert values.shape == (2000, 12)
