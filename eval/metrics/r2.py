"""R2: the share of each source's variance that a linear map of the latents explains, in sample."""

from typing import Any

import numpy as np

from .samples import make_pairs, standardise


def compute_r2(sources_NxS: Any, latents_NxZ: Any, *, discrete: bool) -> dict[str, float]:
    """Mean over sources of 1 - (mean squared error) / variance by least squares, each in [0, 1].

    Classes and codes enter as numbers. A constant source explains nothing and counts 0.

    Returns:
      "r2" without an intercept and on raw latents, as identifiability-guard (UAI 2026) computes it:
      class labels of centred latents come out near 0, however well they are told, and latents of
      tiny range beside one of a huge range are lost; "r2_intercept" with one, on standardised ones.

    Raises:
      InputError: see `make_pairs`.
    """
    del discrete
    sources_NxS, latents_NxZ = make_pairs(sources_NxS, latents_NxZ)
    with_ones = np.column_stack([standardise(latents_NxZ), np.ones(len(latents_NxZ))])
    return {
        "r2": _explained(sources_NxS, latents_NxZ),
        "r2_intercept": _explained(sources_NxS, with_ones),
    }


def _explained(sources_NxS: np.ndarray, features_NxF: np.ndarray) -> float:
    """Mean explained share of variance, clipped source by source."""
    weights_FxS = np.linalg.lstsq(features_NxF, sources_NxS, rcond=None)[0]
    error_S = ((sources_NxS - features_NxF @ weights_FxS) ** 2).mean(axis=0)
    variance_S = sources_NxS.var(axis=0)
    share_S = np.divide(error_S, variance_S, out=np.ones_like(error_S), where=variance_S > 0)
    return float(np.clip(1 - share_S, 0, 1).mean())
