"""MCC: how strongly each source correlates with a latent of its own.

Hyvarinen and Morioka, "Unsupervised Feature Extraction by Time-Contrastive Learning and Nonlinear
ICA", NeurIPS 2016; variants as in identifiability-guard (UAI 2026).
"""

from typing import Any

import numpy as np
from scipy import optimize, stats

from .samples import make_pairs

_NUM_FOLDS = 5


def compute_mcc(sources_NxS: Any, latents_NxZ: Any, *, discrete: bool) -> dict[str, float]:
    """Mean |correlation| of the pairs (source, latent) that a one-to-one matching makes largest.

    Classes and codes enter as numbers, so both must have an order to correlate in. What never
    varies correlates with nothing.

    Returns:
      All in [0, 1], means over min(S, Z) pairs: "mcc" by Pearson's correlation; "mcc_spearman" by
      that of mean ranks; "mcc_coverage", the first times min(S, Z) / S, which charges for sources
      without a latent; "mcc_crossfit", matched and signed on four fifths of the samples, correlated
      on the rest, fold by fold, and clipped at 0.

    Raises:
      InputError: see `make_pairs`.
    """
    del discrete
    sources_NxS, latents_NxZ = make_pairs(sources_NxS, latents_NxZ)
    matched = _match(_correlate(sources_NxS, latents_NxZ))
    ranks = (stats.rankdata(values, axis=0) for values in (sources_NxS, latents_NxZ))
    num_sources = sources_NxS.shape[1]
    num_pairs = min(num_sources, latents_NxZ.shape[1])
    return {
        "mcc": matched,
        "mcc_spearman": _match(_correlate(*ranks)),
        "mcc_coverage": matched * num_pairs / num_sources,
        "mcc_crossfit": _crossfit(sources_NxS, latents_NxZ),
    }


def _correlate(sources_NxS: np.ndarray, latents_NxZ: np.ndarray) -> np.ndarray:
    """Pearson's correlation (S, Z), 0 with what never varies."""
    unit_S, unit_Z = (_unit_columns(values) for values in (sources_NxS, latents_NxZ))
    return np.clip(unit_S.T @ unit_Z, -1, 1)


def _unit_columns(values_NxK: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and length 1; 0 where they never vary."""
    scale_K = np.abs(values_NxK).max(axis=0)
    centred_NxK = values_NxK / np.where(scale_K > 0, scale_K, 1)
    centred_NxK = centred_NxK - centred_NxK.mean(axis=0)
    length_K = np.sqrt((centred_NxK**2).sum(axis=0))
    varies_K = (np.ptp(values_NxK / 2, axis=0) > 0) & (length_K > 0)
    return np.where(varies_K, centred_NxK / np.where(varies_K, length_K, 1), 0.0)


def _match(correlation_SxZ: np.ndarray) -> float:
    """Mean |correlation| over the best matching."""
    size_SxZ = np.abs(correlation_SxZ)
    return float(size_SxZ[optimize.linear_sum_assignment(size_SxZ, maximize=True)].mean())


def _crossfit(sources_NxS: np.ndarray, latents_NxZ: np.ndarray) -> float:
    """Matching and signs of four folds, correlation of the fifth, weighted by its size."""
    order_N = np.random.default_rng(0).permutation(len(sources_NxS))
    folds = [fold for fold in np.array_split(order_N, _NUM_FOLDS) if len(fold) > 1]
    total, weight = 0.0, 0
    for fold in folds:
        rest = np.setdiff1d(order_N, fold)
        fitted_SxZ = _correlate(sources_NxS[rest], latents_NxZ[rest])
        pairs = optimize.linear_sum_assignment(np.abs(fitted_SxZ), maximize=True)
        scored_SxZ = _correlate(sources_NxS[fold], latents_NxZ[fold])
        total += len(fold) * float((np.sign(fitted_SxZ[pairs]) * scored_SxZ[pairs]).mean())
        weight += len(fold)
    return float(np.clip(total / weight, 0, 1)) if weight else 0.0
