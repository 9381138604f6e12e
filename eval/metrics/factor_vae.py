"""The FactorVAE score: whether the latent that varies least tells which source was held fixed.

Kim and Mnih, "Disentangling by Factorising", ICML 2018, section 4; sizes of Locatello et al.,
ICML 2019.
"""

from typing import Any

import numpy as np

from .groups import Groups, make_groups
from .samples import Samples, drop_constant_sources, make_samples, standardise

GROUP_SIZE = 64
NUM_FITTED = 10_000
NUM_SCORED = 5_000
_CHUNK = 1_000


def compute_factor_vae(
    sources_NxS: Any,
    latents_NxZ: Any,
    *,
    discrete: bool,
    seed: int = 0,
    num_repeats: int = 3,
) -> dict[str, float]:
    """Accuracy of a majority vote from the least varying latent to the fixed source.

    Groups of 64 samples share the value of one source. Of each group the vote is the latent with
    the least variance relative to its variance over all samples; for codes, which have no order,
    with Gini's variance, the share of unequal pairs, as Kim and Mnih advise. The vote table is
    made from 10,000 groups and scored on 5,000 others. Constant latents take no part; a constant
    source is left out.

    Returns:
      "factor_vae", mean over `num_repeats` draws, and "factor_vae_std", their deviation (ddof 1,
      0 for one draw). Range [0, 1], chance being 1 / S; 0 when all latents are constant.

    Raises:
      InputError: see `make_samples` and `make_groups`.
    """
    samples = drop_constant_sources(make_samples(sources_NxS, latents_NxZ, discrete=discrete))
    groups = make_groups(samples)
    active_Z = np.ptp(samples.latents_NxZ / 2, axis=0) > 0
    if not active_Z.any():
        return {"factor_vae": 0.0, "factor_vae_std": 0.0}
    variation = _CodeVariation(samples) if discrete else _ValueVariation(samples)
    scores = [
        _score(samples, groups, variation, active_Z, np.random.default_rng([seed, repeat]))
        for repeat in range(num_repeats)
    ]
    spread = float(np.std(scores, ddof=1)) if num_repeats > 1 else 0.0
    return {"factor_vae": float(np.mean(scores)), "factor_vae_std": spread}


def _score(
    samples: Samples,
    groups: Groups,
    variation: "_CodeVariation | _ValueVariation",
    active_Z: np.ndarray,
    random: np.random.Generator,
) -> float:
    votes_SxZ = np.zeros((samples.sources_NxS.shape[1], len(active_Z)), dtype=np.int64)
    hits = 0
    for phase, num in (("fit", NUM_FITTED), ("score", NUM_SCORED)):
        for _ in range(num // _CHUNK):
            source_G, rows_GxM = groups.draw(random, _CHUNK, GROUP_SIZE)
            relative_GxZ = np.where(active_Z, variation.of_groups(rows_GxM), np.inf)
            vote_G = relative_GxZ.argmin(axis=1)
            if phase == "fit":
                np.add.at(votes_SxZ, (source_G, vote_G), 1)
            else:
                hits += int((votes_SxZ.argmax(axis=0)[vote_G] == source_G).sum())
    return hits / NUM_SCORED


class _ValueVariation:
    """Variance of real-valued latents, relative to that over all samples."""

    def __init__(self, samples: Samples):
        self._unit_NxZ = standardise(samples.latents_NxZ)

    def of_groups(self, rows_GxM: np.ndarray) -> np.ndarray:
        """(G, Z), at least 0."""
        return self._unit_NxZ[rows_GxM].var(axis=1, ddof=1)


class _CodeVariation:
    """Gini's variance of codes, the share of unequal pairs, relative to that over all samples."""

    def __init__(self, samples: Samples):
        self._codes_NxZ = samples.latents_NxZ
        self._num_codes = samples.num_codes
        counts = [
            np.bincount(code_N, minlength=num)
            for code_N, num in zip(samples.latents_NxZ.T, samples.num_codes, strict=True)
        ]
        self._overall = [max(self._unequal(count[None])[0], 1e-300) for count in counts]

    def of_groups(self, rows_GxM: np.ndarray) -> np.ndarray:
        """(G, Z), at least 0."""
        group_Gx1 = np.arange(len(rows_GxM))[:, None]
        columns = []
        for j, num in enumerate(self._num_codes):
            joint = group_Gx1 * num + self._codes_NxZ[rows_GxM, j]
            count_GxV = np.bincount(joint.ravel(), minlength=len(rows_GxM) * num)
            columns.append(self._unequal(count_GxV.reshape(-1, num)) / self._overall[j])
        return np.stack(columns, axis=1)

    @staticmethod
    def _unequal(count_GxV: np.ndarray) -> np.ndarray:
        """Share of unequal pairs among the counted samples of each row."""
        total_G = count_GxV.sum(axis=1)
        return 1 - (count_GxV / total_G[:, None] * count_GxV).sum(axis=1) / total_G
