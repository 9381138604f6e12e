"""One table of metrics: a metric is a name and a pure function of (sources, latents)."""

import dataclasses
import difflib
import importlib
from collections.abc import Iterable
from typing import Any

from .dialects import DEFAULT_DIALECT, get_dialect
from .errors import InputError

# Raised whenever a change moves a number: results of different versions are never averaged.
METRIC_VERSION = "2"


@dataclasses.dataclass(frozen=True)
class Metric:
    """One entry of the table.

    Attributes:
      name: what configs and records call it.
      description: one line.
      home: the module that holds `compute_NAME`, imported when it is first computed:
        scikit-learn, which few metrics need, takes long.
      draws: whether it takes a seed.
    """

    name: str
    description: str
    home: str
    draws: bool = False

    def compute(
        self,
        sources_NxS: Any,
        latents_NxZ: Any,
        *,
        discrete: bool,
        seed: int = 0,
        dialect: str = DEFAULT_DIALECT,
    ) -> dict[str, float]:
        """Returns named scalars of (N, S) integer sources and (N, Z) latents.

        `seed` has no effect on metrics that draw nothing, nor has `dialect` on others than InfoMEC.
        """
        home = importlib.import_module(f".{self.home}", __package__)
        options: dict[str, Any] = {"seed": seed} if self.draws else {}
        if self.name == "infomec":
            options["dialect"] = dialect
        found = getattr(home, f"compute_{self.name}")(
            sources_NxS, latents_NxZ, discrete=discrete, **options
        )
        return found.scores() if self.name == "infomec" else found


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "infomec",
            "InfoM, InfoE, InfoC, by a dialect; InfoE also held out (Hsu et al., 2023)",
            "infomec",
        ),
        Metric(
            "infomec_robust",
            "InfoMEC blind to stray samples and to chance information",
            "infomec",
        ),
        Metric("dci", "DCI by gradient boosting (Eastwood and Williams, 2018); slow", "dci", True),
        Metric("dci_forest", "DCI by random forests; fast", "dci", True),
        Metric("mig", "mutual information gap (Chen et al., 2018)", "mig"),
        Metric("sap", "separated attribute predictability (Kumar et al., 2018)", "sap", True),
        Metric("modularity", "modularity (Ridgeway and Mozer, 2018)", "modularity"),
        Metric("mcc", "mean correlation coefficient, matched (Hyvarinen and Morioka, 2016)", "mcc"),
        Metric("r2", "linear regression of sources on latents", "r2"),
        Metric(
            "tmex", "T-MEX: tests of conditional independence (identifiability-guard, 2026)", "tmex"
        ),
        Metric("factor_vae", "FactorVAE score (Kim and Mnih, 2018)", "factor_vae", True),
        Metric("beta_vae", "BetaVAE score (Higgins et al., 2017)", "beta_vae", True),
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
    dialect = get_dialect(dialect).name
    metrics = [get_metric(name) for name in names]
    scores: dict[str, dict[str, float]] = {}
    errors: dict[str, str] = {}
    for metric in metrics:
        try:
            scores[metric.name] = metric.compute(
                sources_NxS, latents_NxZ, discrete=discrete, seed=seed, dialect=dialect
            )
        except Exception as error:
            line = " ".join(str(error).split())
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            errors[metric.name] = kind + line
    return scores, errors
