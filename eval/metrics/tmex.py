"""T-MEX: by tests of conditional independence, does each latent depend on one source alone?

As identifiability-guard (UAI 2026) computes it: a projected covariance test of each latent against
each source given the other sources, and the matching that the test's verdicts allow.
"""

from typing import Any

import numpy as np
from scipy import optimize, stats

from .samples import make_pairs, standardise
from .threads import one_thread

NUM_HALVINGS = 9
LEVEL = 0.05
# Of the latent's variance; a dependence so small is rounding, whose sign no test should ask.
_RESOLUTION = 1e-6


def compute_tmex(sources_NxS: Any, latents_NxZ: Any, *, discrete: bool) -> dict[str, float]:
    """Share of sources and latents that tests pair, and how many verdicts are not a pairing's.

    Classes and codes enter as numbers. The halvings are always the same for the same N.

    Returns:
      "tmex" in [0, 1]: the largest number of pairs (latent, source) of which the test finds
      dependence, over min(S, Z); entangled latents reach 1 too. "tmex_errors": in how many of the
      Z x S verdicts they differ from latent i depending on source i alone: latents are not
      reordered, so it means something only where their order is known.

    Raises:
      InputError: see `make_pairs`; or fewer than 4 samples for each source.
    """
    del discrete
    dependent_ZxS = find_dependences(sources_NxS, latents_NxZ)
    pairs = optimize.linear_sum_assignment(dependent_ZxS, maximize=True)
    expected_ZxS = np.eye(*dependent_ZxS.shape) > 0
    return {
        "tmex": float(dependent_ZxS[pairs].mean()),
        "tmex_errors": float((dependent_ZxS != expected_ZxS).sum()),
    }


def find_dependences(sources_NxS: Any, latents_NxZ: Any) -> np.ndarray:
    """(Z, S) bool: whether latent i depends on source j, given the other sources, at level 0.05.

    Raises:
      InputError: see `compute_tmex`.
    """
    sources_NxS, latents_NxZ = make_pairs(sources_NxS, latents_NxZ, per_source=4)
    # No statistic depends on units; squares of huge values must stay finite.
    sources_NxS, latents_NxZ = standardise(sources_NxS), standardise(latents_NxZ)
    random = np.random.default_rng(0)
    with one_thread():
        statistic_ZxS = np.array(
            [
                [
                    np.mean([_test(latent_N, sources_NxS, j, random) for _ in range(NUM_HALVINGS)])
                    for j in range(sources_NxS.shape[1])
                ]
                for latent_N in latents_NxZ.T
            ]
        )
    return stats.norm.sf(statistic_ZxS) < LEVEL


def _test(
    latent_N: np.ndarray, sources_NxS: np.ndarray, j: int, random: np.random.Generator
) -> float:
    """The statistic of one halving, standard normal where latent and source are independent.

    One half learns how the source helps to predict the latent; the other is asked whether it does.
    """
    num = len(latent_N)
    first = np.zeros(num, bool)
    first[random.choice(np.arange(num), (num + 1) // 2, replace=False)] = True
    all_NxF = np.column_stack([np.ones(num), sources_NxS])
    rest_NxF = np.delete(all_NxF, j + 1, axis=1)
    full_N = all_NxF @ _fit(all_NxF[first], latent_N[first])
    reduced_N = rest_NxF @ _fit(rest_NxF[first], full_N[first])
    sign = np.sign(np.mean((latent_N - reduced_N)[first] * full_N[first]))
    direction_M = sign * (full_N - reduced_N)[~first]
    product_M = _residual(latent_N[~first], rest_NxF[~first]) * _residual(
        direction_M, rest_NxF[~first]
    )
    spread = product_M.std()
    if spread < _RESOLUTION:
        return 0.0
    return float(np.sqrt(len(product_M)) * product_M.mean() / spread)


def _fit(features_NxF: np.ndarray, target_N: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(features_NxF, target_N, rcond=None)[0]


def _residual(target_N: np.ndarray, features_NxF: np.ndarray) -> np.ndarray:
    return target_N - features_NxF @ _fit(features_NxF, target_N)
