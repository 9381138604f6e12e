"""Which images are trained on, chosen by, and reported on: pure functions of (spec, seed)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from data_pipelines.correlations import draw_correlated
from data_pipelines.grid import DatasetSpec
from data_pipelines.heldout_pairs import Pair, choose_pairs, find_images_of_pairs
from data_pipelines.published_order import find_first_records
from data_pipelines.random_order import random_keys
from qlae.common.errors import UserError, make_unknown_name_error

PROTOCOLS = ("heldout", "compositional", "correlated", "confounded", "paper")
# No evaluation set takes more of a grid than this, so that small grids are left to train on.
LARGEST_SHARE = 10
_VALIDATION, _UNSEEN, _TRAIN = 1, 2, 3  # streams of the seed; the test set has none


@dataclasses.dataclass(frozen=True)
class Split:
    """Grid positions by their use, int64 and sorted.

    Attributes:
        protocol: one of `PROTOCOLS`.
        train_indices: trained on. Under `correlated` and `confounded` positions repeat.
        validation_indices: what choices are made by: step, learning rate, weight decay.
        test_indices: what is reported; the sources of both are independent of one another.
        unseen_indices: images of source combinations that training never shows, on which readouts
            fitted on the test images are scored; empty but under `compositional`.
        heldout_pairs: those combinations.
        scored_sources: columns of the sources that metrics see, (S',) int64.
    """

    protocol: str
    train_indices: np.ndarray
    validation_indices: np.ndarray
    test_indices: np.ndarray
    scored_sources: np.ndarray
    unseen_indices: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    heldout_pairs: tuple[Pair, ...] = ()

    def get_indices(self, name: str) -> np.ndarray:
        """Returns the positions of "train", "validation", "test" or "unseen".

        Raises:
            UserError: another name.
        """
        names = ("train", "validation", "test", "unseen")
        if name not in names:
            raise make_unknown_name_error("split", name, names)
        return getattr(self, f"{name}_indices")


@dataclasses.dataclass(frozen=True)
class SplitOptions:
    """How a grid is divided; the fields of a config's `data.split`.

    Attributes:
        protocol: one of `PROTOCOLS`; see `make_split`.
        seed: chooses images and pairs; independent of the model's and the data order's seed.
        num_validation: at most this many images, and at most a tenth of the grid.
        num_test: likewise; of `unseen_indices` too.
        marginalised: names of sources that metrics do not see, such as smallNORB's instance.
        num_pairs: of `correlated`, how many pairs of sources depend on each other.
        correlation_width: of `correlated` and `confounded`, in shares of a source's range: 0.1 is
            strong, 0.7 weak, infinity none.
    """

    protocol: str = "heldout"
    seed: int = 0
    num_validation: int = 10_000
    num_test: int = 10_000
    marginalised: Sequence[str] = ()
    num_pairs: int = 1
    correlation_width: float = 0.1


def make_split(
    spec: DatasetSpec,
    options: SplitOptions | None = None,
    *,
    pairs: tuple[Pair, ...] | None = None,
) -> Split:
    """Divides the grid of `spec`; the same on every host and in every process.

    Test and validation images are drawn uniformly from the whole grid, so that sources are
    independent in them, and are never trained on; the three sets are disjoint.

    `heldout`: everything else is trained on.
    `compositional`: of everything else, what shows one of the held-out `pairs` of source values is
    kept from training; `unseen_indices` are other such images. Each value is still seen in
    training, with all but one or two of the others' values.
    `correlated`, `confounded`: training images are drawn with replacement so that pairs of sources,
    or one source and all others, depend on each other (Roth et al., 2023; see `correlations`).
    `paper`: as in the authors' scripts, and only to compare with published numbers: trained on
    everything; validated and tested on the first 10,000 (`num_test`) records of the training data.

    Args:
        spec: the dataset.
        options: the protocol and its sizes; the default is `heldout`.
        pairs: the held-out pairs of `compositional`; chosen by the seed when None.

    Raises:
        UserError: unknown protocol or source, sizes below 1, pairs where none belong.
    """
    options = options or SplitOptions()
    if options.protocol not in PROTOCOLS:
        raise make_unknown_name_error("split protocol", options.protocol, PROTOCOLS)
    if pairs is not None and options.protocol != "compositional":
        raise UserError(f"pairs belong to the compositional protocol, not to {options.protocol}")
    num_validation, num_test = (
        _limit(spec, name, getattr(options, name)) for name in ("num_validation", "num_test")
    )
    scored = _find_scored_sources(spec, options.marginalised)
    everything = np.arange(spec.num_images, dtype=np.int64)
    if options.protocol == "paper":
        first = find_first_records(spec.num_images, num_test)
        return Split("paper", everything, first, first, scored)
    test = _choose(everything, num_test, options.seed)
    rest = _without(everything, test)
    validation = _choose(rest, num_validation, (options.seed, _VALIDATION))
    train = _without(rest, validation)
    split = Split(options.protocol, train, validation, test, scored)
    if options.protocol == "compositional":
        return _hold_out_pairs(spec, split, options.seed, num_test, pairs)
    if options.protocol in ("correlated", "confounded"):
        drawn = draw_correlated(
            spec,
            train,
            seed=(options.seed, _TRAIN),
            num_pairs=options.num_pairs if options.protocol == "correlated" else None,
            width=options.correlation_width,
        )
        return dataclasses.replace(split, train_indices=drawn)
    return split


def _hold_out_pairs(
    spec: DatasetSpec, split: Split, seed: int, count: int, pairs: tuple[Pair, ...] | None
) -> Split:
    """Takes from training every image that shows a pair, and chooses some of them."""
    pairs = choose_pairs(spec, seed) if pairs is None else pairs
    shown = find_images_of_pairs(spec, pairs)[split.train_indices]
    unseen = _choose(split.train_indices[shown], count, (seed, _UNSEEN))
    return dataclasses.replace(
        split,
        train_indices=split.train_indices[~shown],
        unseen_indices=unseen,
        heldout_pairs=tuple(pairs),
    )


def _limit(spec: DatasetSpec, name: str, count: int) -> int:
    """Returns at most a tenth of the grid."""
    if count < 1:
        raise UserError(f"{name} is {count}; expected at least 1 image")
    return min(count, max(spec.num_images // LARGEST_SHARE, 1))


def _find_scored_sources(spec: DatasetSpec, marginalised: Sequence[str]) -> np.ndarray:
    """Returns the columns that are left."""
    for name in marginalised:
        if name not in spec.source_names:
            raise make_unknown_name_error(f"source of {spec.name}", name, spec.source_names)
    left = [i for i, name in enumerate(spec.source_names) if name not in marginalised]
    if not left:
        raise UserError(f"every source of {spec.name} is marginalised: leave one to be scored")
    return np.array(left, np.int64)


def _choose(indices_N: np.ndarray, count: int, seed: int | tuple[int, ...]) -> np.ndarray:
    """Returns `count` of `indices_N` at random, sorted; all of them if there are fewer."""
    if count >= len(indices_N):
        return indices_N
    keys = random_keys(indices_N, seed)
    return np.sort(indices_N[np.argpartition(keys, count)[:count]])


def _without(indices_N: np.ndarray, removed_M: np.ndarray) -> np.ndarray:
    """Returns sorted `indices_N` without `removed_M`."""
    return indices_N[~np.isin(indices_N, removed_M, assume_unique=True)]
