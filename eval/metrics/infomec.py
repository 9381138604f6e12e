"""InfoMEC: modularity, explicitness and compactness of latents, each in units of information.

Hsu, Dorrell, Whittington, Wu, Finn, "Disentanglement via Latent Quantization", NeurIPS 2023,
section 4 (arXiv 2305.18378).
"""

import dataclasses
from typing import Any

import numpy as np

from .chance import compute_nmi_above_chance
from .dialects import (
    DEFAULT_DIALECT,
    Dialect,
    explain_edge,
    find_active_latents,
    get_dialect,
)
from .errors import InputError
from .explicitness import compute_explicitness
from .information import compute_nmi, compute_source_entropies
from .samples import Samples, halve_rows, make_coarse, make_doubled, make_samples


@dataclasses.dataclass(frozen=True)
class InfoMEC:
    """The three scores and everything they are made of.

    Attributes:
      dialect: the decisions behind the numbers.
      infom: InfoM in [0, 1]: 1 when every active latent informs about a single source.
      infoe: InfoE, at most 1: 1 when every source is linearly decodable. In sample, so at least 0
        up to the fit's tolerance, but for sources so imbalanced that balanced weights do worse than
        a uniform guess.
      infoc: InfoC in [0, 1]: 1 when every source is told by a single latent.
      infoe_heldout: InfoE fitted on one half of the samples and scored on the other, at most 1;
        every prediction is mixed with 1 / (samples fitted) of the uniform one, so that more wrong
        codes do not score better than fewer. Below 0 for confident mistakes. None when not asked
        for.
      nmi_SxZ: I(source; latent) / H(source); rows are sources, inactive latents included.
      active_latents: (Z,) bool.
      varying_sources: (S,) bool; sources that never vary enter no mean.
      infom_Z: InfoM of each latent, NaN where inactive, left out or undefined.
      infoc_S: InfoC of each source, NaN where constant, left out or undefined.
      infoe_S: InfoE of each source, NaN where constant.
      infoe_heldout_S: the same for the held-out fit, or None.
      h_source_null: (S,) ln(number of classes) in nats, what InfoE normalises by in most dialects.
      h_source_empirical: (S,) entropy of each source in the samples, in nats; below `h_source_null`
        where classes are imbalanced.
      num_samples: N.
      protocol: how each number was computed, in words.
      undefined: by score that is NaN, one line on why and on which dialects define it.
    """

    dialect: Dialect
    infom: float
    infoe: float
    infoc: float
    infoe_heldout: float | None
    nmi_SxZ: np.ndarray
    active_latents: np.ndarray
    varying_sources: np.ndarray
    infom_Z: np.ndarray
    infoc_S: np.ndarray
    infoe_S: np.ndarray
    infoe_heldout_S: np.ndarray | None
    h_source_null: np.ndarray
    h_source_empirical: np.ndarray
    num_samples: int
    protocol: dict[str, str]
    undefined: dict[str, str]

    @property
    def infom_gap(self) -> float:
        """Mean over active latents of the first less the second NMI, in [0, 1]; NaN without any."""
        nmi_SxA = self.nmi_SxZ[:, self.active_latents]
        return float(_lead(nmi_SxA.T).mean()) if self.active_latents.any() else np.nan

    @property
    def infoc_gap(self) -> float:
        """Mean over sources of the first less the second NMI of all latents; MIG by that NMI."""
        return float(_lead(self.nmi_SxZ[self.varying_sources]).mean())

    @property
    def num_active(self) -> int:
        """How many latents are active."""
        return int(self.active_latents.sum())

    def scores(self) -> dict[str, float]:
        """The scalars that go into a record or a table."""
        scores = {"infom": self.infom, "infoe": self.infoe, "infoc": self.infoc}
        scores["num_active"] = float(self.num_active)
        if self.infoe_heldout is not None:
            scores["infoe_heldout"] = self.infoe_heldout
        return scores


def compute_infomec(
    sources_NxS: Any,
    latents_NxZ: Any,
    *,
    discrete: bool,
    dialect: str | Dialect = DEFAULT_DIALECT,
    heldout: bool | None = None,
) -> InfoMEC:
    """Computes InfoMEC of N samples; the paper uses 10,000.

    Deterministic: nothing is drawn, and the same arrays give the same bits on any number of
    threads. It uses as many as BLAS may (OMP_NUM_THREADS), one to a source or latent.

    Cases that have no number in the paper's formulas, as the default dialect decides them (what
    the others do stands in `dialects.DIALECTS`):
      * Latents of integer dtype are codes when `discrete`, and plain numbers otherwise. Codes and
        class labels are relabelled by value, so gaps, offsets and negative labels do not matter.
      * A constant source has no entropy to explain. Its NMI row is 0, its per-source terms are NaN,
        and it enters neither a mean nor the count S by which InfoM is rescaled. With every source
        constant nothing can be said: InputError.
      * No active latent: the latents say nothing, and all three scores are 0.
      * One active latent: the share of its best latent in a source's information is 1 and cannot be
        rescaled from [1/1, 1]; InfoC is that share, 1, for a source that the latent informs
        about, for nothing is spread over several latents.
      * One (varying) source: likewise InfoM is 1 for a latent that informs about it.
      * An active latent without information about any source, or a source that no active latent
        informs about, contributes 0 to InfoM or InfoC. This is the limit of information spread
        evenly and ever more thinly, and it charges a model for capacity that encodes nothing.
      * Fewer samples than neighbours, or classes that small: see
        `information.compute_ross_information`.
      * Held out, a class that the fitted half lacks cannot be predicted; its samples are not
        scored. A source with fewer than two classes left in either half scores 0.

    Args:
      sources_NxS: (N, S) integer class labels.
      latents_NxZ: (N, Z) integer codes (`discrete`) or real values. Of a quantized model pass the
        indices: dequantised floats split one code into several values.
      discrete: whether latents are codes.
      dialect: a name of `dialects.DIALECTS`, or a Dialect of your own.
      heldout: whether to also compute `infoe_heldout`, which adds about half of the time; None for
        the default dialect only.

    Raises:
      InputError: a ValueError of one line: bad arrays (see `make_samples`), no such dialect, or a
        case that the dialect's program stops at.
    """
    dialect = get_dialect(dialect)
    samples = make_samples(sources_NxS, latents_NxZ, discrete=discrete)
    active_Z = find_active_latents(samples, dialect)
    varying_S = samples.varying_sources
    _refuse(dialect, "constant_source", not varying_S.all())
    _refuse(dialect, "no_active", not active_Z.any())
    samples = make_coarse(samples, dialect.max_classes) if dialect.max_classes else samples
    single = samples
    if dialect.noise and not discrete:
        samples = make_doubled(samples, dialect.noise)
    nmi_SxZ = _compute_nmi(samples, dialect)
    infom_Z, infoc_S, undefined = _compute_shares(nmi_SxZ, active_Z, varying_S, dialect)
    if dialect.scored_rows == "fitted":
        rows = np.arange(samples.num_samples)
        infoe_S = compute_explicitness(samples, rows, rows, dialect)
    else:
        infoe_S = _compute_heldout(single, dialect)
    asked = dialect.name == DEFAULT_DIALECT if heldout is None else heldout
    infoe_heldout_S = _compute_heldout(single, dialect) if asked else None
    return InfoMEC(
        dialect=dialect,
        infom=np.nan if "infom" in undefined else _mean(infom_Z),
        infoe=_mean(infoe_S),
        infoc=np.nan if "infoc" in undefined else _mean(infoc_S),
        infoe_heldout=None if infoe_heldout_S is None else _mean(infoe_heldout_S),
        nmi_SxZ=nmi_SxZ,
        active_latents=active_Z,
        varying_sources=varying_S,
        infom_Z=infom_Z,
        infoc_S=infoc_S,
        infoe_S=infoe_S,
        infoe_heldout_S=infoe_heldout_S,
        h_source_null=np.log(single.num_classes),
        h_source_empirical=compute_source_entropies(single),
        num_samples=single.num_samples,
        protocol=dialect.describe(single),
        undefined=undefined,
    )


def _refuse(dialect: Dialect, edge: str, met: bool) -> None:
    """Stops where the dialect's own program does."""
    if met and getattr(dialect.edges, edge) == "refuse":
        raise InputError(
            f"{dialect.name} cannot score these samples: {explain_edge(dialect, edge)}"
        )


def _compute_heldout(samples: Samples, dialect: Dialect) -> np.ndarray:
    """InfoE of each source, fitted on one half and scored on the other, (S,)."""
    fitted, scored = halve_rows(samples.num_samples)
    return compute_explicitness(samples, fitted, scored, dialect, uniform_share=1 / len(fitted))


def _compute_nmi(samples: Samples, dialect: Dialect) -> np.ndarray:
    """(S, Z) of the information that the dialect counts."""
    if dialect.counts == "above permutations":
        return compute_nmi_above_chance(samples, num_neighbors=dialect.num_neighbors)
    nmi_SxZ = compute_nmi(samples, num_neighbors=dialect.num_neighbors)
    return np.minimum(nmi_SxZ, 1.0) if dialect.clips_nmi else nmi_SxZ


def _compute_shares(
    nmi_SxZ: np.ndarray, active_Z: np.ndarray, varying_S: np.ndarray, dialect: Dialect
) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """InfoM by latent, InfoC by source, and why either is undefined.

    NaN for rows that do not count. An undefined row makes its whole score undefined.
    """
    counted_S = varying_S | (dialect.edges.constant_source == "zero")
    relevant = nmi_SxZ[np.ix_(counted_S, active_Z)]
    infom_A, why_m = _concentration(relevant.T, dialect, "no_information", "one_source")
    infoc_C, why_c = _concentration(
        relevant[varying_S[counted_S]], dialect, "untold_source", "one_active"
    )
    edges = {"infom": why_m, "infoc": why_c}
    if not active_Z.any():
        missing = "no_active" if dialect.edges.no_active == "undefined" else ""
        edges = dict.fromkeys(edges, missing)
        infoc_C = np.zeros_like(infoc_C)
    undefined = {score: explain_edge(dialect, edge) for score, edge in edges.items() if edge}
    return _spread(infom_A, active_Z), _spread(infoc_C, varying_S), undefined


def _concentration(
    information_RxK: np.ndarray, dialect: Dialect, no_information: str, one_column: str
) -> tuple[np.ndarray, str]:
    """Each row's largest share of its own sum, rescaled from [1/K, 1] to [0, 1]; (R,).

    Returns also the edge case that leaves the mean over rows undefined, or "".
    """
    total_R = information_RxK.sum(axis=1)
    informative_R = total_R > 0
    width = information_RxK.shape[1]
    if width == 1 and getattr(dialect.edges, one_column) == "undefined":
        return np.full(len(total_R), np.nan), one_column
    top_R = information_RxK.max(axis=1, initial=0)
    share_R = np.divide(top_R, total_R, out=np.zeros_like(top_R), where=informative_R)
    if width > 1:
        share_R = np.maximum(share_R - 1 / width, 0) / (1 - 1 / width)
    uninformative = getattr(dialect.edges, no_information)
    share_R[~informative_R] = 0 if uninformative == "zero" else np.nan
    missing = uninformative == "undefined" and not informative_R.all()
    return share_R, no_information if missing else ""


def _lead(nmi_RxK: np.ndarray) -> np.ndarray:
    """By how much each row's largest entry leads the second, which is 0 where there is none."""
    ranked_RxK = np.sort(np.pad(nmi_RxK, ((0, 0), (1, 0))), axis=1)
    return ranked_RxK[:, -1] - ranked_RxK[:, -2]


def _spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """`values` at the true places of `where`, NaN elsewhere."""
    spread = np.full(len(where), np.nan)
    spread[where] = values
    return spread


def _mean(values: np.ndarray) -> float:
    """Mean over what is not NaN; 0 over nothing."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else 0.0


def compute_infomec_robust(
    sources_NxS: Any, latents_NxZ: Any, *, discrete: bool
) -> dict[str, float]:
    """Returns the robust dialect's scores under names of their own, to stand beside any other."""
    scores = compute_infomec(sources_NxS, latents_NxZ, discrete=discrete, dialect="robust").scores()
    return {f"{name}_robust": value for name, value in scores.items()}
