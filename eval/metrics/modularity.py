"""Modularity: how nearly each latent informs about a single source.

Ridgeway and Mozer, "Learning Deep Disentangled Embeddings with the F-Statistic Loss", NeurIPS 2018,
section 2. InfoM asks the same question of ratios of information instead of squares.
"""

from typing import Any

import numpy as np

from . import information
from .samples import drop_constant_sources, make_binned, make_samples


def compute_modularity(sources_NxS: Any, latents_NxZ: Any, *, discrete: bool) -> dict[str, float]:
    """Mean over latents of 1 - sum of I^2 over other sources / (I_largest^2 (S - 1)).

    Continuous latents are cut into 20 bins of equal width. As in Locatello et al. (ICML 2019), all
    latents count, and one without information, such as a constant one, counts 0. A constant source
    is left out; with a single source every informative latent counts 1.

    Returns:
      "modularity" in [0, 1].

    Raises:
      InputError: see `make_samples`.
    """
    samples = make_samples(sources_NxS, latents_NxZ, discrete=discrete)
    samples = make_binned(drop_constant_sources(samples))
    squared_SxZ = information.compute_discrete_information(samples) ** 2
    top_Z = squared_SxZ.max(axis=0)
    others_Z = squared_SxZ.sum(axis=0) - top_Z
    deviation_Z = np.divide(others_Z, top_Z, out=np.zeros_like(top_Z), where=top_Z > 0)
    score_Z = np.where(top_Z > 0, 1 - deviation_Z / max(len(squared_SxZ) - 1, 1), 0.0)
    return {"modularity": float(score_Z.mean())}
