"""UDR: do models that differ in their seed alone learn the same latents?

Duan, Matthey, Saraiva, Watters, Burgess, Lerchner, Higgins, "Unsupervised Model Selection for
Variational Disentangled Representation Learning", ICLR 2020, section 4 (Spearman's variant).
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def compute_udr(latents: Sequence[Sequence[Sequence[float]] | None]) -> np.ndarray:
    """How well each model's latents agree with those of the others, (M,).

    With R_ab = |Spearman correlation| of latent a of one model and latent b of the other, over the
    same images, two models agree by the mean over their active latents, of both sides, of
    r^2 / (sum of R in that row or column), r being the largest entry there: 1 when every latent
    has one counterpart and correlates with no other. A model's score is the median over the others.

    Codes enter as numbers, so that an order of values is needed, which codebooks have.

    Args:
      latents: of each model (N, Z) latents of the same images, or None where there are none.

    Returns:
      In [0, 1]; NaN for a model without latents or without another to agree with.
    """
    ranks = [None if values is None else _rank(np.asarray(values, float)) for values in latents]
    scores = np.full(len(ranks), np.nan)
    for i, one in enumerate(ranks):
        found = [
            _agree(one, other)
            for j, other in enumerate(ranks)
            if i != j and one is not None and other is not None and len(one) == len(other)
        ]
        if found:
            scores[i] = np.median(found)
    return scores


def _rank(latents_NxZ: np.ndarray) -> np.ndarray:
    """Mean ranks of active latents, of mean 0 and length 1; (N, active)."""
    active_Z = np.ptp(latents_NxZ, axis=0) > 0
    ranks_NxA = stats.rankdata(latents_NxZ[:, active_Z], axis=0)
    ranks_NxA = ranks_NxA - ranks_NxA.mean(axis=0)
    return ranks_NxA / np.sqrt((ranks_NxA**2).sum(axis=0))


def _agree(one_NxA: np.ndarray, other_NxB: np.ndarray) -> float:
    """The agreement of two models; 0 if either has no active latent."""
    if not one_NxA.shape[1] or not other_NxB.shape[1]:
        return 0.0
    similarity_AxB = np.abs(one_NxA.T @ other_NxB)
    shares = [
        matrix.max(axis=1) ** 2 / np.maximum(matrix.sum(axis=1), np.finfo(float).tiny)
        for matrix in (similarity_AxB, similarity_AxB.T)
    ]
    return float(np.concatenate(shares).mean())
