"""Which images are trained on and which evaluated: pure functions of (spec, seed)."""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.random_order import random_keys
from data_pipelines.specs import DatasetSpec
from qlae.common.errors import UserError, make_unknown_name_error

PROTOCOLS = ("heldout", "compositional", "paper")


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two source values that training never shows together: (name, class) of each."""

    first: tuple[str, int]
    second: tuple[str, int]


@dataclasses.dataclass(frozen=True)
class Split:
    """Grid positions to train on and to evaluate on, int64 and sorted.

    ``heldout_pairs`` names the combinations that a compositional split keeps from training.
    """

    protocol: str
    train_indices: np.ndarray
    eval_indices: np.ndarray
    heldout_pairs: tuple[Pair, ...] = ()


def make_split(
    spec: DatasetSpec,
    protocol: str = "heldout",
    seed: int = 0,
    num_heldout: int = 10_000,
    pairs: tuple[Pair, ...] | None = None,
) -> Split:
    """Divide the grid of ``spec``; the same on every host and in every process.

    ``heldout``: a random ``num_heldout`` images are evaluated on and never trained on.
    ``compositional``: every image that shows one of the held-out ``pairs`` of source values is
    kept from training, and ``num_heldout`` of them are evaluated on. Each value is still seen
    in training, with all but one or two of the others' values.
    ``paper``: trained on everything, evaluated on a random ``num_heldout`` of it. Only to compare
    with published numbers, which were measured on training images.

    Args:
        spec: the dataset.
        protocol: one of ``PROTOCOLS``.
        seed: chooses the images and pairs; independent of the model's and the data order's seed.
        num_heldout: number of images to evaluate on.
        pairs: the held-out pairs of ``compositional``; chosen by ``seed`` when None.

    Raises:
        UserError: unknown protocol or source, or more held-out images than there are.
    """
    if protocol not in PROTOCOLS:
        raise make_unknown_name_error("split protocol", protocol, PROTOCOLS)
    if not 0 < num_heldout < spec.num_images:
        raise UserError(
            f"num_heldout must lie between 1 and {spec.num_images - 1} for {spec.name}, "
            f"which has {spec.num_images} images; got {num_heldout}"
        )
    if pairs is not None and protocol != "compositional":
        raise UserError(f"pairs belong to the compositional protocol, not to {protocol}")
    everything = np.arange(spec.num_images, dtype=np.int64)
    if protocol == "paper":
        return Split(protocol, everything, _choose(everything, num_heldout, seed))
    if protocol == "heldout":
        heldout = _choose(everything, num_heldout, seed)
        return Split(protocol, _without(everything, heldout), heldout)
    pairs = _choose_pairs(spec, seed) if pairs is None else pairs
    shown = _shows_a_pair(spec, pairs)
    chosen = _choose(everything[shown], num_heldout, seed)
    return Split(protocol, everything[~shown], chosen, tuple(pairs))


def _choose(indices_N: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return ``count`` of ``indices_N`` at random, sorted; all of them if there are fewer."""
    if count >= len(indices_N):
        return indices_N
    keys = random_keys(indices_N, seed)
    return np.sort(indices_N[np.argpartition(keys, count)[:count]])


def _without(indices_N: np.ndarray, removed_M: np.ndarray) -> np.ndarray:
    """Return the grid without ``removed_M``."""
    kept = np.ones(len(indices_N), bool)
    kept[removed_M] = False
    return indices_N[kept]


def _choose_pairs(spec: DatasetSpec, seed: int) -> tuple[Pair, ...]:
    """Match the sources two by two at random, then values of each match one to one.

    Half as many pairs as the smaller source has values, so no value loses more than one
    partner in the other source.
    """
    order = np.argsort(random_keys(np.arange(spec.num_sources), seed))
    pairs = []
    for a, b in zip(order[::2], order[1::2], strict=False):
        first, second = spec.sources[a], spec.sources[b]
        classes_a = np.argsort(random_keys(np.arange(first.cardinality), (seed, int(a))))
        classes_b = np.argsort(random_keys(np.arange(second.cardinality), (seed, int(b))))
        count = max(1, min(first.cardinality, second.cardinality) // 2)
        for i, j in zip(classes_a[:count], classes_b[:count], strict=True):
            pairs.append(Pair((first.name, int(i)), (second.name, int(j))))
    return tuple(pairs)


def _shows_a_pair(spec: DatasetSpec, pairs: tuple[Pair, ...]) -> np.ndarray:
    """Return the bool (num_images,) mask of the images that show at least one pair."""
    grid = np.zeros(spec.cardinalities, bool)
    for pair in pairs:
        where: list[slice | int] = [slice(None)] * spec.num_sources
        for name, value in (pair.first, pair.second):
            if name not in spec.source_names:
                raise make_unknown_name_error(f"source of {spec.name}", name, spec.source_names)
            axis = spec.source_names.index(name)
            if not 0 <= value < spec.cardinalities[axis]:
                raise UserError(
                    f"{name} of {spec.name} has classes 0 to {spec.cardinalities[axis] - 1}; "
                    f"got {value}"
                )
            where[axis] = value
        grid[tuple(where)] = True
    return grid.reshape(-1)
