"""Training images whose sources depend on one another, while evaluation's do not.

Roth, Ibrahim, Akata, Vincent, Bouchacourt, "Disentanglement of Correlated Factors via Hausdorff
Factorized Support", ICLR 2023 (arXiv 2210.07347), after Trauble et al., "On Disentangled
Representations Learned from Correlated Data", ICML 2021.
"""

from __future__ import annotations

import numpy as np

from data_pipelines.grid import DatasetSpec
from data_pipelines.random_order import random_keys
from qlae.common.errors import UserError


def draw_correlated(
    spec: DatasetSpec,
    indices_N: np.ndarray,
    *,
    seed: int | tuple[int, ...],
    num_pairs: int | None,
    width: float,
) -> np.ndarray:
    """Draws as many positions from `indices_N`, with replacement, as there are.

    An image weighs the product over pairs of exp(-(a - b)^2 / (2 width^2)), a and b being the
    places of its two values in [0, 1] from first to last class.

    Args:
        spec: the dataset.
        indices_N: int64 positions to draw from.
        seed: chooses the pairs and the images.
        num_pairs: how many disjoint pairs of sources; None for one source against all others.
        width: in (0, inf]; 0.1 is the strong correlation of the papers, 0.7 the weakest.

    Returns:
        int64 (N,), sorted; positions repeat.

    Raises:
        UserError: a width that is not positive, or more pairs than sources make.
    """
    if not width > 0:
        raise UserError(f"correlation_width is {width}; expected more than 0, such as 0.1")
    most = spec.num_sources // 2
    if num_pairs is not None and not 1 <= num_pairs <= most:
        raise UserError(f"num_pairs is {num_pairs}; {spec.name} has sources for 1 to {most} pairs")
    sources_NxS = spec.sources_at(indices_N)
    unit_NxS = sources_NxS / np.maximum(np.array(spec.cardinalities) - 1, 1)
    order = np.argsort(random_keys(np.arange(spec.num_sources), seed))
    if num_pairs is None:
        matched = [(order[0], other) for other in order[1:]]
    else:
        matched = list(zip(order[::2], order[1::2], strict=False))[:num_pairs]
    distance_N = sum((unit_NxS[:, a] - unit_NxS[:, b]) ** 2 for a, b in matched)
    cumulated_N = np.cumsum(np.exp(-distance_N / (2 * width**2)))
    # Uniform draws, one for each place, from the same hash that shuffles everywhere.
    uniform_N = random_keys(np.arange(len(indices_N)), seed) / 2.0**64
    drawn_N = np.searchsorted(cumulated_N, uniform_N * cumulated_N[-1], side="right")
    return np.sort(indices_N[np.minimum(drawn_N, len(indices_N) - 1)])
