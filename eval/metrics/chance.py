"""What information chance alone pretends: NMI under permuted labels, and NMI above it."""

import dataclasses

import numpy as np

from .information import NUM_NEIGHBORS, estimate_information, normalise
from .samples import Samples

NUM_PERMUTATIONS = 16
# Standard deviations above the mean of permutations: with 16 of them, a pair without information
# passes about once in 10,000.
_DEVIATIONS = 5.0


def compute_chance(
    samples: Samples, *, num_neighbors: int = NUM_NEIGHBORS
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (ddof 1), each (S, Z), of the NMI of permuted samples.

    16 permutations, always the same for the same N. Estimates below 0 count as they are. Plug-in
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
    beyond_SxZ = nmi_SxZ > mean_SxZ + _DEVIATIONS * spread_SxZ + 1e-12
    return np.where(beyond_SxZ, np.clip((nmi_SxZ - mean_SxZ) / room_SxZ, 0, 1), 0.0)
