"""Splits on the full grids: disjoint, covering, and the same everywhere."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_pipelines.specs import SPECS, get_spec
from data_pipelines.splits import Pair, make_split
from qlae.common.errors import UserError

ROOT = Path(__file__).parents[2]
NAMES = sorted(SPECS)


@pytest.mark.parametrize("name", NAMES)
def test_heldout_is_never_trained_on_and_together_they_are_the_grid(name):
    spec = get_spec(name)
    split = make_split(spec, "heldout", seed=3)
    assert len(split.eval_indices) == 10_000
    assert split.train_indices.dtype == split.eval_indices.dtype == np.int64
    both = np.concatenate([split.train_indices, split.eval_indices])
    np.testing.assert_array_equal(np.sort(both), np.arange(spec.num_images))
    assert (np.diff(split.train_indices) > 0).all()
    assert (np.diff(split.eval_indices) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_heldout_shows_every_value_about_equally(name):
    spec = get_spec(name)
    sources = spec.sources_at(make_split(spec, "heldout", seed=0).eval_indices)
    for axis, cardinality in enumerate(spec.cardinalities):
        counts = np.bincount(sources[:, axis], minlength=cardinality)
        expected = 10_000 / cardinality
        assert np.abs(counts - expected).max() < 6 * np.sqrt(expected)


@pytest.mark.parametrize("name", NAMES)
def test_compositional_pairs_are_unseen_while_every_value_is_seen(name):
    spec = get_spec(name)
    split = make_split(spec, "compositional", seed=1)
    assert not np.intersect1d(split.train_indices, split.eval_indices).size
    assert split.heldout_pairs
    train, evaluated = spec.sources_at(split.train_indices), spec.sources_at(split.eval_indices)
    shown = np.zeros(len(evaluated), bool)
    for pair in split.heldout_pairs:
        (a, i), (b, j) = pair.first, pair.second
        a, b = spec.source_names.index(a), spec.source_names.index(b)
        assert not ((train[:, a] == i) & (train[:, b] == j)).any()
        shown |= (evaluated[:, a] == i) & (evaluated[:, b] == j)
    assert shown.all()
    assert len(train) > 0.6 * spec.num_images
    for axis, cardinality in enumerate(spec.cardinalities):
        assert (np.bincount(train[:, axis], minlength=cardinality) > 0).all()


def test_compositional_accepts_chosen_pairs():
    spec = get_spec("shapes3d_rendered")
    pairs = (Pair(("object_hue", 0), ("shape", 2)),)
    split = make_split(spec, "compositional", seed=1, pairs=pairs)
    assert len(split.train_indices) == 480_000 - 12_000
    assert len(split.eval_indices) == 10_000
    assert split.heldout_pairs == pairs


def test_paper_evaluates_inside_the_training_data():
    spec = get_spec("shapes3d_rendered")
    split = make_split(spec, "paper", seed=1)
    assert len(split.train_indices) == spec.num_images
    assert len(split.eval_indices) == 10_000


def test_split_depends_on_seed_alone():
    spec = get_spec("shapes3d_rendered")
    first, other = (make_split(spec, "heldout", seed=s).eval_indices for s in (0, 1))
    assert np.intersect1d(first, other).size < 1000
    code = (
        "from data_pipelines.specs import get_spec\n"
        "from data_pipelines.splits import make_split\n"
        "s = make_split(get_spec('shapes3d_rendered').with_image_size(16), 'heldout', seed=0)\n"
        "print(s.eval_indices[:3].tolist(), s.eval_indices.sum())"
    )
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == f"{first[:3].tolist()} {first.sum()}"
    assert out.stdout.strip() == "[50, 61, 132] 2395654008"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"protocol": "held_out"}, "did you mean 'heldout'"),
        ({"num_heldout": 480_000}, "between 1 and 479999"),
        ({"num_heldout": 0}, "between 1 and 479999"),
        ({"pairs": ()}, "compositional"),
        (
            {"protocol": "compositional", "pairs": (Pair(("shap", 0), ("scale", 0)),)},
            "did you mean 'shape'",
        ),
        (
            {"protocol": "compositional", "pairs": (Pair(("shape", 4), ("scale", 0)),)},
            "classes 0 to 3",
        ),
    ],
)
def test_bad_input_is_one_clear_line(arguments, line):
    with pytest.raises(UserError, match=line) as caught:
        make_split(get_spec("shapes3d"), **arguments)
    assert "\n" not in str(caught.value)
