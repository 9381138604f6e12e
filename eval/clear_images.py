"""Images worth showing: those in which sources can be told apart at a glance."""

import itertools

import numpy as np

from data_pipelines.grid import DatasetSpec

_SIZES = ("scale", "size")


def find_clear_images(spec: DatasetSpec, sources_NxS: np.ndarray, count: int) -> np.ndarray:
    """Finds images in which sources can be told apart at a glance.

    Where the dataset has hues, theirs are far from each other on the circle; and the objects are
    among the larger ones.

    Args:
        spec: of the dataset.
        sources_NxS: int classes of the images.
        count: how many are wanted.

    Returns:
        (count,) positions among the N, spread evenly over the clearest; fewer images than wanted
        repeat.
    """
    values_NxS = spec.values_at(sources_NxS)
    hues = [i for i, name in enumerate(spec.source_names) if name.endswith("_hue")]
    sizes = [i for i, name in enumerate(spec.source_names) if name.rpartition("_")[2] in _SIZES]
    gap_N = np.ones(len(values_NxS))
    for first, second in itertools.combinations(hues, 2):
        apart_N = np.abs(values_NxS[:, first] - values_NxS[:, second])
        gap_N = np.minimum(gap_N, np.minimum(apart_N, 1 - apart_N))
    # Rounded: a gap of 0.3 is one whichever two hues it lies between.
    pool = np.flatnonzero(gap_N.round(6) >= np.sort(gap_N.round(6))[-count])
    size_N = values_NxS[:, sizes].sum(1)
    middle = (size_N[pool].min() + size_N[pool].max()) / 2
    large = pool[size_N[pool] >= middle]
    return large[(np.arange(count) * 2 + 1) * len(large) // (2 * count)]
