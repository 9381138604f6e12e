"""Entropy and mutual information between sources and latents, in nats: the terms of every NMI.

Discrete latents use the plug-in estimate from the contingency table. Continuous latents use the
nearest-neighbour estimate of Ross, "Mutual information between discrete and continuous data sets",
PLoS ONE 2014; in one dimension its neighbours are found by sorting, without a tree and without
random tie breaking.
"""

import numpy as np
from scipy import special

from eval.metrics.samples import Samples, standardise

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
        information_SxZ = compute_discrete_information(samples)
    else:
        information_SxZ = compute_ross_information(samples, num_neighbors=num_neighbors)
    entropy_Sx1 = compute_source_entropies(samples)[:, None]
    return np.divide(
        information_SxZ, entropy_Sx1, out=np.zeros_like(information_SxZ), where=entropy_Sx1 > 0
    )


def compute_discrete_information(samples: Samples) -> np.ndarray:
    """Plug-in I(source; code) in nats, (S, Z), from contingency tables of discrete latents."""
    codes = list(zip(samples.latents_NxZ.T, samples.num_codes, strict=True))
    code_entropies = [compute_entropy(np.bincount(code_N)) for code_N, _ in codes]
    source_entropies = compute_source_entropies(samples)
    information_SxZ = np.zeros((len(source_entropies), len(codes)))
    for i, labels_N in enumerate(samples.sources_NxS.T):
        for j, (code_N, num_codes) in enumerate(codes):
            joint = compute_entropy(np.bincount(labels_N * num_codes + code_N))
            information_SxZ[i, j] = source_entropies[i] + code_entropies[j] - joint
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
    latents_NxZ = standardise(samples.latents_NxZ)
    information_SxZ = np.zeros((samples.sources_NxS.shape[1], latents_NxZ.shape[1]))
    digamma = special.digamma(np.maximum(np.arange(samples.num_samples + 2), 1))
    for j, latent_N in enumerate(latents_NxZ.T):
        order_N = np.argsort(latent_N, kind="stable")
        sorted_N = latent_N[order_N]
        for i, labels_N in enumerate(samples.sources_NxS[order_N].T):
            information_SxZ[i, j] = _ross(sorted_N, labels_N, num_neighbors, digamma)
    return information_SxZ


def _ross(sorted_N: np.ndarray, labels_N: np.ndarray, k: int, digamma: np.ndarray) -> float:
    """The estimate for one source and one latent, given in ascending order of the latent."""
    # Small integers make numpy's stable sort a radix sort.
    labels_N = labels_N.astype(np.min_scalar_type(int(labels_N.max())))
    by_class_N = np.argsort(labels_N, kind="stable")
    size_C = np.bincount(labels_N)
    size_N = np.repeat(size_C, size_C)
    start_N = np.repeat(np.cumsum(size_C) - size_C, size_C)
    value_N = sorted_N[by_class_N]
    k_N = np.minimum(k, size_N - 1)
    radius_N = _neighbor_distances(value_N, start_N, size_N, k_N)

    kept_N = size_N > 1
    value_M, radius_M, k_M = value_N[kept_N], radius_N[kept_N], k_N[kept_N]
    tied_M = radius_M <= RESOLUTION
    # An open ball, so the k-th neighbour itself must stay outside whatever the rounding.
    inner_M = np.where(tied_M, RESOLUTION, radius_M - RESOLUTION)
    pool_N = sorted_N if kept_N.all() else np.sort(value_M)
    low_M = np.searchsorted(pool_N, value_M - inner_M, side="left")
    high_M = np.searchsorted(pool_N, value_M + inner_M, side="right")
    near_M = high_M - low_M
    if tied_M.any():
        near_M = near_M - tied_M
        k_M = np.where(tied_M, _class_ties(value_N, start_N, size_N)[kept_N] - 1, k_M)
    if not len(value_M):
        return 0.0
    terms_M = digamma[k_M] - digamma[size_N[kept_N]] - digamma[near_M]
    return max(0.0, float(digamma[len(value_M)] + terms_M.mean()))


def _neighbor_distances(
    value_N: np.ndarray, start_N: np.ndarray, size_N: np.ndarray, k_N: np.ndarray
) -> np.ndarray:
    """Distance to the k-th neighbour in the same class; values ascend within each class.

    The k nearest neighbours of a point and the point itself are k + 1 consecutive values, so the
    distance is the smallest, over the windows that contain the point, of its farther end.
    """
    position_N = np.arange(len(value_N))
    last_N = position_N + k_N
    fits_N = last_N < start_N + size_N
    end_N = np.where(fits_N, value_N[np.minimum(last_N, len(value_N) - 1)], np.inf)
    rank_N = position_N - start_N
    radius_N = end_N - value_N
    for back in range(1, int(k_N.max(initial=0)) + 1):
        below = value_N[back:] - value_N[:-back]
        farther = np.maximum(below, end_N[:-back] - value_N[back:])
        inside = rank_N[back:] >= back
        radius_N[back:] = np.where(inside, np.minimum(radius_N[back:], farther), radius_N[back:])
    return radius_N


def _class_ties(value_N: np.ndarray, start_N: np.ndarray, size_N: np.ndarray) -> np.ndarray:
    """How many samples of the same class share each sample's value, itself included."""
    new_N = np.concatenate([[True], (np.diff(value_N) > RESOLUTION) | (np.diff(start_N) != 0)])
    run_N = np.cumsum(new_N) - 1
    return np.bincount(run_N)[run_N]
