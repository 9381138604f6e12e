"""One table of metrics: a metric is a name and a pure function of (sources, latents)."""

import dataclasses
import difflib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from .beta_vae import compute_beta_vae
from .dci import compute_dci, compute_dci_forest
from .dialects import DEFAULT_DIALECT, get_dialect
from .errors import InputError
from .factor_vae import compute_factor_vae
from .infomec import compute_infomec
from .mcc import compute_mcc
from .mig import compute_mig
from .modularity import compute_modularity
from .r2 import compute_r2
from .sap import compute_sap
from .tmex import compute_tmex

# Raised whenever a change moves a number: results of different versions are never averaged.
METRIC_VERSION = "2"


class MetricFunction(Protocol):
    """Scores of (N, S) integer sources and (N, Z) latents."""

    def __call__(
        self, sources_NxS: np.ndarray, latents_NxZ: np.ndarray, *, discrete: bool, seed: int = 0
    ) -> dict[str, float]:
        """Named scalars; `seed` has no effect on metrics that draw nothing."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """One entry of the table."""

    name: str
    description: str
    function: MetricFunction


def _infomec_robust(sources_NxS: np.ndarray, latents_NxZ: np.ndarray, *, discrete: bool) -> dict:
    """The robust dialect under names of its own, so that it stands beside any other."""
    scores = compute_infomec(sources_NxS, latents_NxZ, discrete=discrete, dialect="robust").scores()
    return {f"{name}_robust": value for name, value in scores.items()}


def _make_infomec(dialect: str) -> MetricFunction:
    def score(sources_NxS: np.ndarray, latents_NxZ: np.ndarray, *, discrete: bool) -> dict:
        found = compute_infomec(sources_NxS, latents_NxZ, discrete=discrete, dialect=dialect)
        return found.scores()

    return _drawing_nothing(score)


def _drawing_nothing(compute: Callable[..., dict[str, float]]) -> MetricFunction:
    """A metric without randomness, under the signature of all others."""

    def score(
        sources_NxS: np.ndarray, latents_NxZ: np.ndarray, *, discrete: bool, seed: int = 0
    ) -> dict[str, float]:
        del seed
        return compute(sources_NxS, latents_NxZ, discrete=discrete)

    return score


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "infomec",
            "InfoM, InfoE, InfoC, by a dialect; InfoE also held out (Hsu et al., 2023)",
            _make_infomec(DEFAULT_DIALECT),
        ),
        Metric(
            "infomec_robust",
            "InfoMEC blind to stray samples and to chance information",
            _drawing_nothing(_infomec_robust),
        ),
        Metric("dci", "DCI by gradient boosting (Eastwood and Williams, 2018); slow", compute_dci),
        Metric("dci_forest", "DCI by random forests; fast", compute_dci_forest),
        Metric("mig", "mutual information gap (Chen et al., 2018)", _drawing_nothing(compute_mig)),
        Metric("sap", "separated attribute predictability (Kumar et al., 2018)", compute_sap),
        Metric(
            "modularity",
            "modularity (Ridgeway and Mozer, 2018)",
            _drawing_nothing(compute_modularity),
        ),
        Metric(
            "mcc",
            "mean correlation coefficient, matched (Hyvarinen and Morioka, 2016)",
            _drawing_nothing(compute_mcc),
        ),
        Metric("r2", "linear regression of sources on latents", _drawing_nothing(compute_r2)),
        Metric(
            "tmex",
            "T-MEX: tests of conditional independence (identifiability-guard, 2026)",
            _drawing_nothing(compute_tmex),
        ),
        Metric("factor_vae", "FactorVAE score (Kim and Mnih, 2018)", compute_factor_vae),
        Metric("beta_vae", "BetaVAE score (Higgins et al., 2017)", compute_beta_vae),
    )
}


def get_metric(name: str) -> Metric:
    """The metric of that name; InputError with the nearest name if there is none."""
    if name in METRICS:
        return METRICS[name]
    near = difflib.get_close_matches(name, METRICS, n=1, cutoff=0.0)
    raise InputError(f"no metric is called {name!r}, did you mean {near[0]!r}? one of {[*METRICS]}")


def compute_metrics(
    names: Iterable[str],
    sources_NxS: Any,
    latents_NxZ: Any,
    *,
    discrete: bool,
    seed: int = 0,
    dialect: str = DEFAULT_DIALECT,
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Runs each named metric on its own: one that fails does not take the others down.

    Args:
      names: of `METRICS`.
      sources_NxS: (N, S) integer class labels.
      latents_NxZ: (N, Z) codes or values.
      discrete: whether latents are codes.
      seed: for metrics that draw.
      dialect: of InfoMEC; no other metric has any.

    Returns:
      Scores by metric name, and for each metric that failed one line that says why.

    Raises:
      InputError: a metric or dialect that is not in its table, before anything is computed.
    """
    infomec = _make_infomec(get_dialect(dialect).name)
    metrics = [get_metric(name) for name in names]
    scores: dict[str, dict[str, float]] = {}
    errors: dict[str, str] = {}
    for metric in metrics:
        try:
            function = infomec if metric.name == "infomec" else metric.function
            scores[metric.name] = function(sources_NxS, latents_NxZ, discrete=discrete, seed=seed)
        except Exception as error:
            line = " ".join(str(error).split())
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            errors[metric.name] = kind + line
    return scores, errors
