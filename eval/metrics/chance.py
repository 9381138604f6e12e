"""What information chance alone pretends: NMI under permuted labels, and NMI above it."""

import dataclasses

import numpy as np
from scipy import stats

from .information import NUM_NEIGHBORS, estimate_information, normalise
from .samples import Samples

NUM_PERMUTATIONS = 20
# By how much information must exceed that of permutations: about once in a million by chance, were
# their mean and deviation known.
_DEVIATIONS = 5.0
_TAIL = 1e-6


def compute_chance(
    samples: Samples, *, num_neighbors: int = NUM_NEIGHBORS
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (ddof 1), each (S, Z), of the NMI of permuted samples.

    20 permutations, always the same for the same N. Estimates below 0 count as they are. Plug-in
    information of many codes and few samples is large by chance alone: 512 independent codes of
    10,000 samples give 0.1 with every source.
    """
    draws = []
    for draw in range(NUM_PERMUTATIONS):
        rows_N = np.random.default_rng([0, draw]).permutation(samples.num_samples)
        permuted = dataclasses.replace(samples, sources_NxS=samples.sources_NxS[rows_N])
        draws.append(normalise(samples, estimate_information(permuted, num_neighbors)))
    return np.mean(draws, axis=0), np.std(draws, axis=0, ddof=1)


def compute_nmi_above_chance(samples: Samples, *, num_neighbors: int = NUM_NEIGHBORS) -> np.ndarray:
    """(S, Z) in [0, 1]: (NMI - chance) / (1 - chance), 0 where that is not beyond chance's spread.

    0 for latents that know nothing, however many values they take; 1 for a copy of a source.
    """
    nmi_SxZ = normalise(samples, estimate_information(samples, num_neighbors))
    mean_SxZ, spread_SxZ = compute_chance(samples, num_neighbors=num_neighbors)
    # A latent of as many codes as samples knows all by chance: nothing can be above it.
    room_SxZ = np.maximum(1 - mean_SxZ, np.finfo(np.float64).eps)
    beyond_SxZ = nmi_SxZ > _find_threshold(mean_SxZ, spread_SxZ) + 1e-12
    return np.where(beyond_SxZ, np.clip((nmi_SxZ - mean_SxZ) / room_SxZ, 0, 1), 0.0)


def _find_threshold(mean_SxZ: np.ndarray, spread_SxZ: np.ndarray) -> np.ndarray:
    """(S, Z) NMI that chance hardly reaches.

    Nearest-neighbour estimates vary about normally; plug-in ones like a chi-square of few degrees
    of freedom, whose tail a gamma distribution of the same mean and deviation has.
    """
    threshold_SxZ = mean_SxZ + _DEVIATIONS * spread_SxZ
    skewed_SxZ = (mean_SxZ > 0) & (spread_SxZ > 0)
    mean, spread = mean_SxZ[skewed_SxZ], spread_SxZ[skewed_SxZ]
    tail = stats.gamma.isf(_TAIL, (mean / spread) ** 2, scale=spread**2 / mean)
    threshold_SxZ[skewed_SxZ] = np.maximum(threshold_SxZ[skewed_SxZ], tail)
    return threshold_SxZ
