"""Two runs are the same bits, or part at a step and an array that are named."""

import json
import shutil

import numpy as np
import pytest

from experiments.compare import find_difference
from tests import runs

pytestmark = pytest.mark.process

SHORT = ("--config.num_steps=4", "--config.checkpoint_every=2")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two starts of one config, and two that differ from it."""
    root = tmp_path_factory.mktemp("runs")
    overrides = {
        "a": (),
        "b": (),
        "seed": ("--config.seed=1",),
        "order": ("--config.data.order_seed=1",),
        "longer": ("--config.checkpoint_every=3",),
    }
    for name, more in overrides.items():
        code, _, errors = runs.train(root / name, *SHORT, *more)
        assert code == 0, errors
    return root


def compare(*paths):
    return runs.run("experiments.compare", *map(str, paths))


def test_the_same_bits(trained):
    assert compare(trained / "a", trained / "b") == (0, "the same bits at 2 steps, 2 to 4\n", "")


@pytest.mark.parametrize(("other", "where"), [("seed", "draws"), ("order", "params.")])
def test_what_differs_parts_at_once(trained, other, where):
    code, output, _ = compare(trained / "a", trained / other)
    assert code == 1
    assert output.startswith(f"step 2: {where}")
    assert " values differ\n" in output


def test_only_common_steps_are_compared(trained):
    code, output, errors = compare(trained / "a", trained / "longer")
    assert (code, output) == (0, "the same bits at 1 steps, 4 to 4\n")
    assert errors == (f"note: {trained}/a alone has 2\nnote: {trained}/longer alone has 3\n")


def test_mistakes_are_one_line(trained, tmp_path):
    shutil.copytree(trained / "a", tmp_path / "a")
    shutil.rmtree(tmp_path / "a/checkpoints")
    for path, expected in ((tmp_path, "no run at"), (tmp_path / "a", "no step of which both")):
        code, output, errors = compare(trained / "a", path)
        assert (code, output) == (2, "")
        assert expected in errors
        assert len(errors.splitlines()) == 1


def make_checkpoint(**changes):
    arrays = {"params.w": np.array([[1.0, np.nan], [0.0, 2.0]], np.float32), "draws": np.arange(2)}
    return {**arrays, "data": json.dumps({"next": 3}), **changes}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        (
            {"params.w": np.array([[1, np.nan], [-0.0, 3]], np.float32)},
            "params.w parts at [1, 0]: 0",
        ),
        ({"params.w": np.zeros((2, 2))}, "params.w is float32[2, 2] and float64[2, 2]"),
        ({"params.w": np.zeros(3, np.float32)}, "params.w is float32[2, 2] and float32[3]"),
        ({"draws": np.array([0, 2])}, "draws parts at [1]: 1 and 2; 1 of 2 values differ"),
        ({"data": json.dumps({"next": 4})}, 'the position in the data is {"next": 3} and {"next"'),
        ({"params.more": np.ones(1)}, "params.more is in the second run alone"),
    ],
)
def test_what_differs_first_is_named(changes, expected):
    found = find_difference(make_checkpoint(), make_checkpoint(**changes))
    assert found == expected or (expected and found.startswith(expected))


def test_a_scalar_has_a_place(trained):
    assert find_difference({"step": np.int32(1)}, {"step": np.int32(2)}) == (
        "step parts at []: 1 and 2; 1 of 1 values differ"
    )
