"""Pairs of source values that training never shows together: the compositional split."""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.grid import DatasetSpec
from data_pipelines.random_order import random_keys
from qlae.common.errors import UserError, make_unknown_name_error


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two source values that training never shows together: (name, class) of each."""

    first: tuple[str, int]
    second: tuple[str, int]


def choose_pairs(spec: DatasetSpec, seed: int) -> tuple[Pair, ...]:
    """Matches the sources two by two at random, then values of each match one to one.

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


def find_images_of_pairs(spec: DatasetSpec, pairs: tuple[Pair, ...]) -> np.ndarray:
    """Returns the bool (num_images,) mask of the images that show at least one pair.

    Raises:
        UserError: no such source or class.
    """
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
