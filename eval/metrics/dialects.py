"""What six programs call InfoM, InfoE and InfoC: one table of the decisions in which they differ.

All follow Hsu et al. (NeurIPS 2023, section 4); the scores of one and the same code still lie up to
0.7 apart. Numbers of different dialects are not to be compared, let alone averaged.
"""

import dataclasses
import difflib
from typing import Literal

import numpy as np

from .errors import InputError
from .samples import Samples

DEFAULT_DIALECT = "lq2023"

# What becomes of a case that the formulas leave open. "zero" and "one" are values, "leave out"
# takes the row out of the mean, "undefined" makes the score NaN, "refuse" scores nothing at all.
Edge = Literal["zero", "one", "leave out", "undefined", "refuse"]


@dataclasses.dataclass(frozen=True)
class ActiveRule:
    """A latent is active when its spread exceeds `floor` and `share` of the largest spread.

    Attributes:
      spread: "range" of its raw values; "interquartile range"; "central range", between the 1st and
        99th percentile; or "off mode", the share of samples that do not show its commonest value.
      share: of the largest spread of all latents.
      floor: in units of the spread.
    """

    spread: Literal["range", "interquartile range", "central range", "off mode"] = "range"
    share: float = 0.0
    floor: float = 0.0

    def __str__(self) -> str:
        bounds = [f"{self.floor:g}"] if self.floor or not self.share else []
        bounds += [f"largest / {1 / self.share:g}"] if self.share else []
        return f"{self.spread} > " + " and ".join(bounds)


@dataclasses.dataclass(frozen=True)
class EdgeCases:
    """What becomes of the cases that the formulas leave open; by default each has a value.

    Attributes:
      no_information: an active latent that informs about no source, in InfoM.
      untold_source: a source that no active latent informs about, in InfoC.
      one_active: InfoC with a single active latent.
      one_source: InfoM with a single source.
      no_active: InfoM and InfoC without an active latent.
      constant_source: a source that never varies. "leave out": of all; "zero": it explains nothing
        but counts in S, by which InfoM is rescaled.
    """

    no_information: Edge = "zero"
    untold_source: Edge = "zero"
    one_active: Edge = "one"
    one_source: Edge = "one"
    no_active: Edge = "zero"
    constant_source: Edge = "leave out"

    def __str__(self) -> str:
        edges = dataclasses.asdict(self).items()
        return ", ".join(f"{edge.replace('_', ' ')}: {value}" for edge, value in edges)


@dataclasses.dataclass(frozen=True)
class Dialect:
    """The decisions behind one program's numbers; the defaults are those of `lq2023`.

    Attributes:
      name: what tables call it.
      origin: whose program decides so.
      num_neighbors: k of the nearest-neighbour estimate for continuous latents.
      noise: standard deviation of what is added to continuous latents, standardised and given
        twice, before anything is estimated; 0 leaves them as they are.
      clips_nmi: whether NMI above 1 counts as 1.
      counts: which information counts: all of the estimate, or what is above the estimates of
        permuted labels.
      active_codes: rule for active discrete latents.
      active_values: rule for active continuous latents.
      codes_as: features of discrete latents for InfoE: "one-hot", or "scalars" where codes are
        given as floats (integers stay one-hot).
      penalty: weight of half the squared readout weights, without intercept, beside the log loss
        summed over samples.
      max_iterations: of L-BFGS.
      null_entropy: "ln(classes)", which is what the balanced fit on nothing gives, or "plug-in".
      scored_rows: "fitted" (in sample) or "other half".
      clips_infoe: whether a source's InfoE is clipped to [0, 1].
      max_classes: sources of more classes are cut into that many bins of equal width; 0 for none.
      edges: what becomes of the cases that the formulas leave open.
    """

    name: str
    origin: str
    num_neighbors: int = 10
    noise: float = 0.0
    clips_nmi: bool = False
    counts: Literal["all", "above permutations"] = "all"
    active_codes: ActiveRule = ActiveRule()
    active_values: ActiveRule = ActiveRule(share=1 / 20)
    codes_as: Literal["one-hot", "scalars"] = "one-hot"
    penalty: float = 0.0
    max_iterations: int = 100
    null_entropy: Literal["ln(classes)", "plug-in"] = "ln(classes)"
    scored_rows: Literal["fitted", "other half"] = "fitted"
    clips_infoe: bool = False
    max_classes: int = 0
    edges: EdgeCases = EdgeCases()

    def active_rule(self, discrete: bool) -> ActiveRule:
        """The rule for latents of that kind."""
        return self.active_codes if discrete else self.active_values

    def reads_one_hot(self, samples: Samples) -> bool:
        """Whether InfoE's readout sees one-hot codes, not standardised scalars."""
        return samples.discrete and (self.codes_as == "one-hot" or samples.given_as_integers)

    def describe(self, samples: Samples) -> dict[str, str]:
        """How each number of these samples is computed, in words."""
        nmi = "plug-in I / H(source)"
        features = "one-hot codes" if self.reads_one_hot(samples) else "standardised scalars"
        if not samples.discrete:
            nmi = f"Ross 2014 nearest neighbours, k = {self.num_neighbors}, I / H(source)"
            if self.noise:
                nmi += f", data twice with noise of sd {self.noise:g}"
        nmi += ", at most 1" if self.clips_nmi else ""
        nmi += f", only what is {self.counts}" if self.counts != "all" else ""
        nmi += f", sources in at most {self.max_classes} bins" if self.max_classes else ""
        penalty = f"L2 penalty (C = {1 / self.penalty:g})" if self.penalty else "no penalty"
        rows = "in sample" if self.scored_rows == "fitted" else "fitted on one half, other scored"
        explicitness = (
            f"multinomial logistic regression on {features} of all latents, {penalty}, balanced "
            f"classes, L-BFGS of at most {self.max_iterations} iterations, plain log loss {rows}, "
            f"null entropy {self.null_entropy}"
        )
        return {
            "dialect": f"{self.name}: {self.origin}",
            "nmi": nmi,
            "active_latents": str(self.active_rule(samples.discrete)),
            "explicitness": explicitness + (", clipped to [0, 1]" if self.clips_infoe else ""),
            "edges": str(self.edges),
        }


# By name of the decision, what the case is called in a message.
_CASES = {
    "no_information": "an active latent informs about no source",
    "untold_source": "no active latent informs about a source",
    "one_active": "a single latent is active, so its share cannot be rescaled",
    "one_source": "a single source varies, so its share cannot be rescaled",
    "no_active": "no latent is active",
    "constant_source": "a source never varies",
}

# What division by zero and scikit-learn make of them.
_UNDEFINED = EdgeCases(
    no_information="undefined",
    untold_source="undefined",
    one_active="undefined",
    one_source="undefined",
    constant_source="refuse",
)

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect("lq2023", "the authors' metric file, with every edge case defined"),
        Dialect(
            "lq2023_trainer",
            "the functions of the authors' trainer, most probably those of the paper's tables",
            num_neighbors=3,
            active_codes=ActiveRule(share=1 / 8),
            active_values=ActiveRule(share=1 / 8),
            codes_as="scalars",
            edges=dataclasses.replace(
                _UNDEFINED, no_information="leave out", no_active="undefined"
            ),
        ),
        Dialect(
            "tripod2024",
            "Tripod (Hsu et al., 2024)",
            active_codes=ActiveRule("interquartile range", floor=0.1),
            active_values=ActiveRule("interquartile range", share=1 / 10),
            edges=_UNDEFINED,
        ),
        Dialect(
            "modular2025",
            "the modularity paper of 2025",
            num_neighbors=2,
            noise=0.01,
            clips_nmi=True,
            active_codes=ActiveRule(share=1 / 10),
            active_values=ActiveRule(share=1 / 10),
            max_iterations=3000,
            edges=_UNDEFINED,
        ),
        Dialect(
            "factorqvae2024",
            "FactorQVAE (2024)",
            num_neighbors=3,
            max_iterations=500,
            edges=dataclasses.replace(_UNDEFINED, no_active="refuse"),
        ),
        Dialect(
            "guard2026",
            "identifiability-guard (UAI 2026)",
            clips_nmi=True,
            penalty=1.0,
            null_entropy="plug-in",
            clips_infoe=True,
            max_classes=20,
            edges=EdgeCases("leave out", "leave out", constant_source="zero"),
        ),
        Dialect(
            "robust",
            "this project's, beside lq2023: blind to stray samples and to chance information",
            counts="above permutations",
            active_codes=ActiveRule("off mode", floor=0.01),
            active_values=ActiveRule("central range", share=1 / 20),
            scored_rows="other half",
            clips_infoe=True,
        ),
    )
}


def get_dialect(name: str | Dialect) -> Dialect:
    """The dialect of that name (or itself); InputError with the nearest name if there is none."""
    if isinstance(name, Dialect):
        return name
    if name in DIALECTS:
        return DIALECTS[name]
    near = difflib.get_close_matches(name, DIALECTS, n=1, cutoff=0.0)
    raise InputError(
        f"no dialect is called {name!r}, did you mean {near[0]!r}? one of {', '.join(DIALECTS)}"
    )


def find_active_latents(samples: Samples, dialect: str | Dialect = DEFAULT_DIALECT) -> np.ndarray:
    """(Z,) bool: which latents are active by the rule of a dialect."""
    rule = get_dialect(dialect).active_rule(samples.discrete)
    spread_Z = _measure_spread(samples, rule.spread)
    return (spread_Z > rule.floor) & (spread_Z > spread_Z.max() * rule.share)


def explain_edge(dialect: Dialect, edge: str) -> str:
    """One line: why a dialect has no number for a case, and which dialects have one."""
    able = [
        other.name
        for other in DIALECTS.values()
        if getattr(other.edges, edge) not in ("undefined", "refuse")
    ]
    return f"{_CASES[edge]}, which {dialect.name} leaves undefined: {', '.join(able)} define it"


def _measure_spread(samples: Samples, spread: str) -> np.ndarray:
    """(Z,) of the raw latents, codes by their values as they were given."""
    if spread == "off mode":
        return np.array([1 - _mode_share(column_N) for column_N in samples.values_NxZ.T])
    # Halves, so that the range of values near the largest float stays finite.
    half_NxZ = samples.values_NxZ / 2
    if spread == "range":
        return _double(np.ptp(half_NxZ, axis=0))
    quantiles = (0.25, 0.75) if spread == "interquartile range" else (0.01, 0.99)
    low_Z, high_Z = np.quantile(half_NxZ, quantiles, axis=0)
    return _double(high_Z - low_Z)


def _double(half_Z: np.ndarray) -> np.ndarray:
    """Twice as much, at most the largest float."""
    return np.minimum(half_Z, np.finfo(np.float64).max / 2) * 2


def _mode_share(column_N: np.ndarray) -> float:
    """Share of samples that show the commonest value."""
    return float(np.unique(column_N, return_counts=True)[1].max() / len(column_N))
