"""Entropy and mutual information between sources and latents, in nats: the terms of every NMI.

Discrete latents use the plug-in estimate from contingency tables. Continuous latents use the
nearest-neighbour estimate of Ross, "Mutual information between discrete and continuous data sets",
PLoS ONE 2014; in one dimension its neighbours are found by sorting, without a tree and without
random tie breaking.
"""

import dataclasses

import numpy as np
from scipy import special

from .samples import Samples, standardise
from .threads import map_in_threads

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
    return np.maximum(normalise(samples, estimate_information(samples, num_neighbors)), 0.0)


def estimate_information(samples: Samples, num_neighbors: int = NUM_NEIGHBORS) -> np.ndarray:
    """I(source; latent) in nats, (S, Z); for continuous latents it errs to both sides of 0."""
    if samples.discrete:
        return compute_discrete_information(samples)
    return compute_ross_information(samples, num_neighbors=num_neighbors)


def normalise(samples: Samples, information_SxZ: np.ndarray) -> np.ndarray:
    """Information in shares of each source's entropy, (S, Z); 0 for a source without entropy."""
    entropy_Sx1 = compute_source_entropies(samples)[:, None]
    return np.divide(
        information_SxZ, entropy_Sx1, out=np.zeros_like(information_SxZ), where=entropy_Sx1 > 0
    )


def compute_discrete_information(samples: Samples) -> np.ndarray:
    """Plug-in I(source; code) = H(source) + H(code) - H(source, code) in nats, (S, Z), of codes."""
    joint_SxZ = np.array(
        [
            [
                compute_entropy(np.bincount(labels_N * num_codes + code_N))
                for code_N, num_codes in zip(samples.latents_NxZ.T, samples.num_codes, strict=True)
            ]
            for labels_N in samples.sources_NxS.T
        ]
    )
    code_Z = np.array([compute_entropy(np.bincount(code_N)) for code_N in samples.latents_NxZ.T])
    information_SxZ = compute_source_entropies(samples)[:, None] + code_Z - joint_SxZ
    return np.where(information_SxZ > ROUNDING, information_SxZ, 0.0)


def compute_ross_information(samples: Samples, *, num_neighbors: int = NUM_NEIGHBORS) -> np.ndarray:
    """Ross (2014) I(source; latent) in nats, (S, Z), for continuous latents; it can err below 0.

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
    layouts = [_make_layout(labels_N, num_neighbors) for labels_N in samples.sources_NxS.T]
    digamma = _make_digamma(samples.num_samples)

    def estimate_sources(latent_N: np.ndarray) -> list[float]:
        order_N = np.argsort(latent_N, stable=True)
        sorted_N = latent_N[order_N]
        has_ties = bool((np.diff(sorted_N) <= RESOLUTION).any())
        return [
            _ross(sorted_N, labels_N, layout, digamma, has_ties)
            for labels_N, layout in zip(samples.sources_NxS[order_N].T, layouts, strict=True)
        ]

    return np.array(map_in_threads(estimate_sources, standardise(samples.latents_NxZ).T)).T


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Where each class lies when samples are grouped by class; the same for every latent.

    Attributes:
      size_N: size of the class that owns the place.
      rank_N: place within its class.
      k_N: number of neighbours to look for, at most the size less one.
      max_k: the largest of these.
      dtype: the smallest integer type for labels, with which numpy sorts them by radix.
      has_singles: whether some class has a single sample.
    """

    size_N: np.ndarray
    rank_N: np.ndarray
    k_N: np.ndarray
    max_k: int
    dtype: np.dtype
    has_singles: bool


def _make_layout(labels_N: np.ndarray, num_neighbors: int) -> _Layout:
    """The layout of one source's labels."""
    size_C = np.bincount(labels_N)
    size_N = np.repeat(size_C, size_C)
    rank_N = np.arange(len(labels_N)) - np.repeat(np.cumsum(size_C) - size_C, size_C)
    dtype = np.min_scalar_type(len(size_C))
    k_N = np.minimum(num_neighbors, size_N - 1)
    has_singles = bool((size_C == 1).any())
    return _Layout(size_N, rank_N, k_N, int(k_N.max()), dtype, has_singles)


def _make_digamma(num_samples: int) -> np.ndarray:
    """psi(0), ..., psi(N), (N + 1,); psi(0), a pole that no kept sample reads, is as psi(1)."""
    return special.digamma(np.maximum(np.arange(num_samples + 1), 1))


def _ross(
    sorted_N: np.ndarray,
    labels_N: np.ndarray,
    layout: _Layout,
    digamma: np.ndarray,
    has_ties: bool,
) -> float:
    """The estimate for one source and one latent, given in ascending order of the latent."""
    by_class_N = np.argsort(labels_N.astype(layout.dtype), stable=True)
    value_N = sorted_N[by_class_N]
    kept_N = layout.size_N > 1
    pool_N = sorted_N
    if layout.has_singles:
        value_N = np.where(kept_N, value_N, np.inf)
        pool_N = np.sort(value_N)
        value_N = np.where(kept_N, value_N, 0.0)
    radius_N = _neighbor_distances(value_N, layout)
    k_N = layout.k_N
    # An open ball, so the k-th neighbour itself must stay outside whatever the rounding.
    inner_N = radius_N - RESOLUTION
    tied_N = np.zeros(len(radius_N), bool)
    if has_ties:
        tied_N = radius_N <= RESOLUTION
        inner_N = np.where(tied_N, RESOLUTION, inner_N)
        k_N = np.where(tied_N, _num_tied(value_N, layout) - 1, k_N)
    low_N = np.searchsorted(pool_N, value_N - inner_N, side="left")
    high_N = np.searchsorted(pool_N, value_N + inner_N, side="right")
    terms_N = digamma[k_N] - digamma[layout.size_N] - digamma[high_N - low_N - tied_N]
    num_kept = kept_N.sum()
    mean = np.where(kept_N, terms_N, 0.0).sum() / np.maximum(num_kept, 1)
    return float(digamma[num_kept] + mean) if num_kept else 0.0


def _neighbor_distances(value_N: np.ndarray, layout: _Layout) -> np.ndarray:
    """Distance to the k-th neighbour in the same class; values ascend within each class.

    The k nearest neighbours of a point and the point itself are k + 1 consecutive values, so the
    distance is the smallest, over the windows that contain the point, of its farther end.
    """
    num = len(value_N)
    last_N = np.minimum(np.arange(num) + layout.k_N, num - 1)
    fits_N = layout.rank_N + layout.k_N < layout.size_N
    end_N = np.where(fits_N, value_N[last_N], np.inf)
    radius_N = end_N - value_N
    # What lies `back` places below is a view into these, whatever wraps around being masked.
    below = np.pad(value_N, (layout.max_k, 0))
    below_end = np.pad(end_N, (layout.max_k, 0))
    for back in range(1, layout.max_k + 1):
        first = layout.max_k - back
        farther_N = np.maximum(
            value_N - below[first : first + num], below_end[first : first + num] - value_N
        )
        inside_N = layout.rank_N >= back
        radius_N = np.minimum(radius_N, np.where(inside_N, farther_N, np.inf))
    return radius_N


def _num_tied(value_N: np.ndarray, layout: _Layout) -> np.ndarray:
    """How many samples of the same class share each sample's value, itself included."""
    new_N = (layout.rank_N == 0) | (np.diff(value_N, prepend=value_N[:1]) > RESOLUTION)
    run_N = np.cumsum(new_N)
    return np.searchsorted(run_N, run_N, side="right") - np.searchsorted(run_N, run_N, side="left")
