"""Entropy and mutual information between sources and latents, in nats: the terms of every NMI.

Discrete latents use the plug-in estimate from contingency tables. Continuous latents use the
nearest-neighbour estimate of Ross, "Mutual information between discrete and continuous data sets",
PLoS ONE 2014; in one dimension its neighbours are found by sorting, without a tree and without
random tie breaking.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from eval.metrics.samples import Samples, standardise
from eval.metrics.threads import map_in_threads

NUM_NEIGHBORS = 10
# Standard deviations below which two values count as equal: far above the rounding of standardised
# float64 (about 1e-15) and far below any spacing that carries information.
RESOLUTION = 1e-12
# Nats below which a difference of entropies is rounding and not information. A latent without
# information must come out as exactly 0, or the ratios of InfoMEC would be ratios of noise.
ROUNDING = 1e-12


def compute_entropy(counts: np.ndarray) -> float:
    """Plug-in entropy in nats, in [0, ln(number of counts)], of counts of any shape."""
    counts = counts[counts > 0].astype(np.float64)
    total = counts.sum()
    return float(max(0.0, np.log(total) - (counts * np.log(counts)).sum() / total))


def compute_source_entropies(samples: Samples) -> np.ndarray:
    """Empirical entropy of each source in nats, (S,); 0 for a source that never varies."""
    return np.array([compute_entropy(np.bincount(labels)) for labels in samples.sources_NxS.T])


def compute_nmi(samples: Samples, *, num_neighbors: int = NUM_NEIGHBORS) -> np.ndarray:
    """Normalised mutual information I(source; latent) / H(source), (S, Z) float64, at least 0.

    Discrete latents give at most 1; the nearest-neighbour estimate of continuous ones can exceed 1
    by its own error. A source that never varies has no entropy to explain: its row is 0.
    """
    if samples.discrete:
        return normalise(samples, compute_discrete_information(samples))
    return normalise(samples, compute_ross_information(samples, num_neighbors=num_neighbors))


def normalise(samples: Samples, information_SxZ: np.ndarray) -> np.ndarray:
    """Information in shares of each source's entropy, (S, Z); 0 for a source without entropy."""
    entropy_Sx1 = compute_source_entropies(samples)[:, None]
    return np.divide(
        information_SxZ, entropy_Sx1, out=np.zeros_like(information_SxZ), where=entropy_Sx1 > 0
    )


def compute_discrete_information(samples: Samples) -> np.ndarray:
    """Plug-in I(source; code) in nats, (S, Z), of discrete latents."""
    return information_of_counts(
        [
            [
                np.bincount(labels_N * num_codes + code_N, minlength=num_classes * num_codes)
                for code_N, num_codes in zip(samples.latents_NxZ.T, samples.num_codes, strict=True)
            ]
            for labels_N, num_classes in zip(
                samples.sources_NxS.T, samples.num_classes, strict=True
            )
        ],
        samples,
    )


def information_of_counts(
    counts_SxZ: Sequence[Sequence[np.ndarray]] | np.ndarray, samples: Samples
) -> np.ndarray:
    """(S, Z) I = H(source) + H(code) - H(source, code), from the counts of all pairs of values."""
    source_S = compute_source_entropies(samples)
    code_Z = np.array([compute_entropy(np.bincount(code)) for code in samples.latents_NxZ.T])
    joint_SxZ = np.array([[compute_entropy(counts) for counts in row] for row in counts_SxZ])
    information_SxZ = source_S[:, None] + code_Z - joint_SxZ
    return np.where(information_SxZ > ROUNDING, information_SxZ, 0.0)


def compute_ross_information(samples: Samples, *, num_neighbors: int = NUM_NEIGHBORS) -> np.ndarray:
    """Ross (2014) I(source; latent) in nats, (S, Z), for continuous latents; never below 0.

    For sample i, with d the distance to its k-th neighbour of the same class and m the number of
    samples of any class nearer than d (itself included):
    I = psi(N) + mean psi(k) - mean psi(class size) - mean psi(m).

    Defined without randomness where the usual estimators add noise or fail:
      * A class of n <= k samples uses k = n - 1; a class of one sample has no neighbour and is left
        out, and where every class is a single sample the estimate is 0.
      * Where the k-th neighbour is at distance zero (repeated values), k and m count every other
        sample at that very value, as Gao et al. (NeurIPS 2017) do for mixed distributions. Codes
        given as floats thus come out near the plug-in estimate, and a constant latent at 0.
    """
    layouts = [make_layout(labels_N, num_neighbors) for labels_N in samples.sources_NxS.T]
    digamma = make_digamma(samples.num_samples)

    def estimate_sources(latent_N: np.ndarray) -> list[float]:
        order_N = np.argsort(latent_N, stable=True)
        sorted_N = latent_N[order_N]
        has_ties = bool((np.diff(sorted_N) <= RESOLUTION).any())
        return [
            ross(np, sorted_N, labels_N, layout, digamma, has_ties)
            for labels_N, layout in zip(samples.sources_NxS[order_N].T, layouts, strict=True)
        ]

    return np.array(map_in_threads(estimate_sources, standardise(samples.latents_NxZ).T)).T


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where each class lies when samples are grouped by class; the same for every latent.

    Attributes:
      size_N: size of the class that owns the place.
      rank_N: place within its class.
      k_N: number of neighbours to look for, at most the size less one.
      max_k: the largest of these.
      dtype: the smallest integer type for labels, with which numpy sorts them by radix.
      has_singles: whether some class has a single sample.
    """

    size_N: Any
    rank_N: Any
    k_N: Any
    max_k: int
    dtype: Any
    has_singles: bool


def make_layout(labels_N: np.ndarray, num_neighbors: int) -> Layout:
    """The layout of one source's labels."""
    size_C = np.bincount(labels_N)
    size_N = np.repeat(size_C, size_C)
    rank_N = np.arange(len(labels_N)) - np.repeat(np.cumsum(size_C) - size_C, size_C)
    dtype = np.min_scalar_type(len(size_C))
    k_N = np.minimum(num_neighbors, size_N - 1)
    has_singles = bool((size_C == 1).any())
    return Layout(size_N, rank_N, k_N, int(k_N.max()), dtype, has_singles)


def make_digamma(num_samples: int) -> np.ndarray:
    """psi(0), ..., psi(N), (N + 1,); psi(0), a pole that no kept sample reads, is as psi(1)."""
    return special.digamma(np.maximum(np.arange(num_samples + 1), 1))


def ross(
    xp: Any, sorted_N: Any, labels_N: Any, layout: Layout, digamma: Any, has_ties: bool
) -> Any:
    """The estimate for one source and one latent, given in ascending order of the latent.

    Written for numpy and jax.numpy alike (`xp`): no shape depends on values.
    """
    by_class_N = xp.argsort(labels_N.astype(layout.dtype), stable=True)
    value_N = sorted_N[by_class_N]
    kept_N = layout.size_N > 1
    pool_N = sorted_N
    if layout.has_singles:
        value_N = xp.where(kept_N, value_N, xp.inf)
        pool_N = xp.sort(value_N)
        value_N = xp.where(kept_N, value_N, 0.0)
    radius_N = _neighbor_distances(xp, value_N, layout)
    k_N = layout.k_N
    # An open ball, so the k-th neighbour itself must stay outside whatever the rounding.
    inner_N = radius_N - RESOLUTION
    tied_N = False
    if has_ties:
        tied_N = radius_N <= RESOLUTION
        inner_N = xp.where(tied_N, RESOLUTION, inner_N)
        k_N = xp.where(tied_N, _num_tied(xp, value_N, layout) - 1, k_N)
    low_N = xp.searchsorted(pool_N, value_N - inner_N, side="left")
    high_N = xp.searchsorted(pool_N, value_N + inner_N, side="right")
    terms_N = digamma[k_N] - digamma[layout.size_N] - digamma[high_N - low_N - tied_N]
    num_kept = kept_N.sum()
    mean = xp.where(kept_N, terms_N, 0.0).sum() / xp.maximum(num_kept, 1)
    return xp.maximum(xp.where(num_kept > 0, digamma[num_kept] + mean, 0.0), 0.0)


def _neighbor_distances(xp: Any, value_N: Any, layout: Layout) -> Any:
    """Distance to the k-th neighbour in the same class; values ascend within each class.

    The k nearest neighbours of a point and the point itself are k + 1 consecutive values, so the
    distance is the smallest, over the windows that contain the point, of its farther end.
    """
    num = len(value_N)
    last_N = xp.minimum(xp.arange(num) + layout.k_N, num - 1)
    fits_N = layout.rank_N + layout.k_N < layout.size_N
    end_N = xp.where(fits_N, value_N[last_N], xp.inf)
    radius_N = end_N - value_N
    # What lies `back` places below is a view into these, whatever wraps around being masked.
    below = xp.pad(value_N, (layout.max_k, 0))
    below_end = xp.pad(end_N, (layout.max_k, 0))
    for back in range(1, layout.max_k + 1):
        first = layout.max_k - back
        farther_N = xp.maximum(
            value_N - below[first : first + num], below_end[first : first + num] - value_N
        )
        inside_N = layout.rank_N >= back
        radius_N = xp.minimum(radius_N, xp.where(inside_N, farther_N, xp.inf))
    return radius_N


def _num_tied(xp: Any, value_N: Any, layout: Layout) -> Any:
    """How many samples of the same class share each sample's value, itself included."""
    new_N = (layout.rank_N == 0) | (xp.diff(value_N, prepend=value_N[:1]) > RESOLUTION)
    run_N = xp.cumsum(new_N)
    return xp.searchsorted(run_N, run_N, side="right") - xp.searchsorted(run_N, run_N, side="left")
