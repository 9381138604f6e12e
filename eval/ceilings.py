"""What a perfect code scores on the samples at hand, where that is less than it should be."""

from collections.abc import Iterable

import numpy as np

from eval.metrics.dialects import DEFAULT_DIALECT
from eval.metrics.registry import compute_metrics

PERFECT = 0.98
# Counts and deviations; the slow metric that is not worth minutes for a bound.
_WITHOUT_CEILING = ("num_active", "num_active_robust", "tmex_errors")
_TOO_SLOW = ("dci",)


def compute_ceilings(
    names: Iterable[str],
    sources_NxS: np.ndarray,
    *,
    discrete: bool,
    dialect: str = DEFAULT_DIALECT,
) -> dict[str, float]:
    """Scores below 0.98 of latents that are the sources themselves, by name of the score.

    Plug-in information of few samples, sources that depend on each other, and metrics that a
    perfect code does not satisfy all lower what can be reached: a score is to be read beside it.

    Args:
      names: of metrics.
      sources_NxS: (N, S) the sources that the metrics see.
      discrete: whether the model's latents are codes.
      dialect: of InfoMEC.

    Returns:
      A score whose perfect code reaches 0.98, or that has no ceiling, is left out.
    """
    names = [name for name in names if name not in _TOO_SLOW]
    found, _ = compute_metrics(names, sources_NxS, sources_NxS, discrete=discrete, dialect=dialect)
    return choose_ceilings(found)


def choose_ceilings(scores_of_perfect: dict[str, dict[str, float]]) -> dict[str, float]:
    """Those of the scores of a perfect code, by metric, that fall short of 0.98."""
    return {
        name: value
        for scores in scores_of_perfect.values()
        for name, value in scores.items()
        if name not in _WITHOUT_CEILING and not name.endswith("_std") and value < PERFECT
    }
