"""The BetaVAE score: whether a line through latent differences tells which source was held fixed.

Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework",
ICLR 2017, section 3; sizes of Locatello et al., ICML 2019.
"""

import warnings
from typing import Any

import numpy as np
from sklearn import exceptions, linear_model

from .groups import Groups, make_groups
from .samples import Samples, drop_constant_sources, make_samples, standardise
from .threads import one_thread

NUM_PAIRS = 64
NUM_FITTED = 10_000
NUM_SCORED = 5_000
_CHUNK = 1_000


def compute_beta_vae(
    sources_NxS: Any,
    latents_NxZ: Any,
    *,
    discrete: bool,
    seed: int = 0,
    num_repeats: int = 3,
) -> dict[str, float]:
    """Accuracy of a linear classifier of the fixed source from mean differences of 64 pairs.

    The two samples of a pair share the value of one source, which is drawn anew for each pair. A
    feature is the mean over pairs of |difference| of a latent; latents are standardised first,
    because the classifier's (default L2) penalty would otherwise depend on their units; codes,
    which have no order, count as different or equal. Fitted on 10,000 points, scored on 5,000
    others. A constant source is left out; with a single source there is nothing to tell apart and
    the score is 1.

    Returns:
      "beta_vae", mean over `num_repeats` draws, and "beta_vae_std", their deviation (ddof 1, 0 for
      one draw). Range [0, 1], chance being 1 / S.

    Raises:
      InputError: see `make_samples` and `make_groups`.
    """
    samples = drop_constant_sources(make_samples(sources_NxS, latents_NxZ, discrete=discrete))
    groups = make_groups(samples)
    if samples.sources_NxS.shape[1] == 1:
        return {"beta_vae": 1.0, "beta_vae_std": 0.0}
    scores = []
    for repeat in range(num_repeats):
        random = np.random.default_rng([seed, repeat])
        fitted = _draw_points(samples, groups, NUM_FITTED, random)
        scored = _draw_points(samples, groups, NUM_SCORED, random)
        scores.append(_accuracy(fitted, scored))
    spread = float(np.std(scores, ddof=1)) if num_repeats > 1 else 0.0
    return {"beta_vae": float(np.mean(scores)), "beta_vae_std": spread}


def _draw_points(
    samples: Samples, groups: Groups, num_points: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mean differences (P, Z) and the source that was fixed (P,)."""
    latents_NxZ = samples.latents_NxZ if samples.discrete else standardise(samples.latents_NxZ)
    points, sources = [], []
    for _ in range(num_points // _CHUNK):
        source_G, one_GxM, other_GxM = groups.draw_pairs(random, _CHUNK, NUM_PAIRS)
        one, other = latents_NxZ[one_GxM], latents_NxZ[other_GxM]
        difference = one != other if samples.discrete else np.abs(one - other)
        points.append(difference.mean(axis=1))
        sources.append(source_G)
    return np.concatenate(points), np.concatenate(sources)


def _accuracy(
    fitted: tuple[np.ndarray, np.ndarray], scored: tuple[np.ndarray, np.ndarray]
) -> float:
    classifier = linear_model.LogisticRegression()
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        classifier.fit(*fitted)
        return float((classifier.predict(scored[0]) == scored[1]).mean())
