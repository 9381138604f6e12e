"""Splits on the full grids: disjoint, covering, and the same everywhere."""

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_pipelines.heldout_pairs import Pair
from data_pipelines.published_order import find_first_records
from data_pipelines.specs import SPECS, get_spec
from data_pipelines.splits import PROTOCOLS, SplitOptions, make_split
from qlae.common.errors import UserError

ROOT = Path(__file__).parents[2]
NAMES = sorted(SPECS)


@functools.cache
def find_split(name, protocol):
    """Returns the split of a whole grid, which takes up to seconds, once."""
    return make_split(get_spec(name), SplitOptions(protocol, seed=1))


@pytest.mark.heavy
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "paper"])
def test_sets_are_disjoint_sorted_and_of_the_size_asked(name, protocol):
    spec = get_spec(name)
    split = find_split(name, protocol)
    expected = min(10_000, spec.num_images // 10)
    assert len(split.validation_indices) == len(split.test_indices) == expected
    sets = [split.get_indices(part) for part in ("train", "validation", "test", "unseen")]
    assert all(part.dtype == np.int64 and (np.diff(part) >= 0).all() for part in sets)
    distinct = [np.unique(part) for part in sets]
    together = np.concatenate(distinct)
    assert len(np.unique(together)) == len(together)
    assert (together >= 0).all()
    assert (together < spec.num_images).all()
    if protocol == "heldout":
        assert len(together) == spec.num_images
    assert len(split.train_indices) > 0.6 * spec.num_images


def test_small_sets_keep_their_images():
    split = make_split(get_spec("cars3d"))
    assert len(split.train_indices) == 17_568 - 2 * 1_756
    small = make_split(get_spec("cars3d"), SplitOptions(num_validation=100, num_test=200))
    assert (len(small.validation_indices), len(small.test_indices)) == (100, 200)


@pytest.mark.heavy
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sources_of_test_images_are_independent(name, protocol):
    spec = get_spec(name)
    sources = spec.sources_at(find_split(name, protocol).test_indices)
    for axis, cardinality in enumerate(spec.cardinalities):
        expected = len(sources) / cardinality
        counts = np.bincount(sources[:, axis], minlength=cardinality)
        assert np.abs(counts - expected).max() < 6 * np.sqrt(expected)
    correlation = np.corrcoef(sources.T) - np.eye(spec.num_sources)
    assert np.abs(correlation).max() < 5 / np.sqrt(len(sources))


@pytest.mark.parametrize("name", NAMES)
def test_compositional_pairs_are_unseen_while_every_value_is_seen(name):
    spec = get_spec(name)
    split = find_split(name, "compositional")
    assert split.heldout_pairs
    train, unseen = spec.sources_at(split.train_indices), spec.sources_at(split.unseen_indices)
    shown = np.zeros(len(unseen), bool)
    for pair in split.heldout_pairs:
        (a, i), (b, j) = pair.first, pair.second
        a, b = spec.source_names.index(a), spec.source_names.index(b)
        assert not ((train[:, a] == i) & (train[:, b] == j)).any()
        shown |= (unseen[:, a] == i) & (unseen[:, b] == j)
    assert shown.all()
    assert len(unseen) >= (30 if name == "cars3d" else 1_000)  # cars3d: 2 pairs of 732
    for axis, cardinality in enumerate(spec.cardinalities):
        assert (np.bincount(train[:, axis], minlength=cardinality) > 0).all()


def test_compositional_accepts_chosen_pairs():
    spec = get_spec("shapes3d_rendered")
    pairs = (Pair(("object_hue", 0), ("shape", 2)),)
    split = make_split(spec, SplitOptions("compositional", seed=1), pairs=pairs)
    kept_out = 12_000 * (1 - 20_000 / 480_000)
    assert len(split.train_indices) == pytest.approx(460_000 - kept_out, abs=100)
    assert len(split.unseen_indices) == 10_000
    assert split.heldout_pairs == pairs


@pytest.mark.parametrize(("num_pairs", "width"), [(1, 0.1), (3, 0.1), (1, 0.7)])
def test_correlated_sources_follow_their_law(num_pairs, width):
    spec = get_spec("shapes3d")
    options = SplitOptions("correlated", num_pairs=num_pairs, correlation_width=width)
    split = make_split(spec, options)
    unit = spec.sources_at(split.train_indices) / (np.array(spec.cardinalities) - 1)
    correlation = np.abs(np.corrcoef(unit.T) - np.eye(6))
    strong = np.argwhere(np.triu(correlation) > (0.6 if width < 0.2 else 0.1))
    assert len(strong) == num_pairs
    assert len(set(strong.ravel())) == 2 * num_pairs
    a, b = strong[0]
    sizes = np.array(spec.cardinalities)[[a, b]]
    grid_a, grid_b = np.meshgrid(*(np.linspace(0, 1, size) for size in sizes), indexing="ij")
    expected = np.exp(-((grid_a - grid_b) ** 2) / (2 * width**2))
    classes = spec.sources_at(split.train_indices)[:, [a, b]]
    counts = np.zeros(sizes)
    np.add.at(counts, tuple(classes.T), 1)
    np.testing.assert_allclose(counts / counts.sum(), expected / expected.sum(), atol=2e-3)


def test_confounded_source_correlates_with_all_others():
    spec = get_spec("shapes3d")
    split = make_split(spec, SplitOptions("confounded", correlation_width=0.2))
    correlation = np.corrcoef(spec.sources_at(split.train_indices).T)
    assert (correlation > 0.5).all(axis=1).any()


def test_no_correlation_at_infinite_width():
    spec = get_spec("dsprites")
    split = make_split(spec, SplitOptions("correlated", correlation_width=np.inf))
    correlation = np.corrcoef(spec.sources_at(split.train_indices).T) - np.eye(5)
    assert np.abs(correlation).max() < 0.01


def test_paper_evaluates_on_the_first_training_records():
    spec = get_spec("shapes3d_rendered")
    split = make_split(spec, SplitOptions("paper", seed=1))
    assert len(split.train_indices) == spec.num_images
    assert len(split.test_indices) == 10_000
    np.testing.assert_array_equal(split.test_indices, split.validation_indices)
    other = make_split(spec, SplitOptions("paper", seed=2))
    np.testing.assert_array_equal(split.test_indices, other.test_indices)


def test_first_records_are_those_of_tfds():
    hashing = pytest.importorskip("tensorflow_datasets.core.hashing")
    hasher = hashing.Hasher("train")
    order = sorted(range(3_200), key=hasher.hash_key)
    # 16 shards of 200 records, read in turns of 16.
    expected = [order[shard * 200 + place] for shard in range(16) for place in range(16)]
    expected += [order[shard * 200 + 16 + place] for shard in range(2) for place in range(16)]
    np.testing.assert_array_equal(find_first_records(3_200, 256 + 32), np.sort(expected))


def test_marginalised_sources_are_not_scored():
    spec = get_spec("smallnorb")
    split = make_split(spec, SplitOptions(marginalised=("instance",)))
    assert [spec.source_names[i] for i in split.scored_sources] == [
        "category", "elevation", "azimuth", "lighting",
    ]  # fmt: skip
    np.testing.assert_array_equal(make_split(spec).scored_sources, np.arange(5))


@pytest.mark.process
def test_split_depends_on_seed_alone():
    spec = get_spec("shapes3d_rendered")
    first, other = (make_split(spec, SplitOptions(seed=s)).test_indices for s in (0, 1))
    assert np.intersect1d(first, other).size < 1000
    code = (
        "from data_pipelines.specs import get_spec\n"
        "from data_pipelines.splits import SplitOptions, make_split\n"
        "spec = get_spec('shapes3d_rendered').with_image_size(16)\n"
        "s = make_split(spec, SplitOptions('correlated'))\n"
        "print(s.test_indices[:3].tolist(), s.test_indices.sum(), s.train_indices.sum())"
    )
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    train = make_split(spec, SplitOptions("correlated")).train_indices.sum()
    assert out.stdout.strip() == f"[50, 61, 132] 2395654008 {train}"
    assert first[:3].tolist() == [50, 61, 132]


@pytest.mark.parametrize(
    ("options", "pairs", "line"),
    [
        ({"protocol": "held_out"}, None, "did you mean 'heldout'"),
        ({"num_test": 0}, None, "num_test is 0; expected at least 1"),
        ({"num_validation": -1}, None, "num_validation is -1"),
        ({"marginalised": ("floor",)}, None, "did you mean 'floor_hue'"),
        ({"marginalised": tuple(get_spec("shapes3d").source_names)}, None, "leave one"),
        ({"protocol": "correlated", "num_pairs": 4}, None, "sources for 1 to 3 pairs"),
        ({"protocol": "correlated", "correlation_width": 0.0}, None, "more than 0"),
        ({}, (), "compositional"),
        ({"protocol": "compositional"}, (Pair(("shap", 0), ("scale", 0)),), "mean 'shape'"),
        ({"protocol": "compositional"}, (Pair(("shape", 4), ("scale", 0)),), "classes 0 to 3"),
    ],
)
def test_bad_input_is_one_clear_line(options, pairs, line):
    with pytest.raises(UserError, match=line) as caught:
        make_split(get_spec("shapes3d"), SplitOptions(**options), pairs=pairs)
    assert "\n" not in str(caught.value)


def test_unknown_part_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'validation'"):
        make_split(get_spec("cars3d")).get_indices("valid")
