"""InfoMEC: modularity, explicitness and compactness of latents, each in units of information.

Hsu, Dorrell, Whittington, Wu, Finn, "Disentanglement via Latent Quantization", NeurIPS 2023,
section 4 (arXiv 2305.18378).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from eval.metrics import information, logistic
from eval.metrics.errors import InputError
from eval.metrics.explicitness import ComputeLosses, compute_explicitness
from eval.metrics.samples import Samples, halve_rows, make_samples

# A continuous latent is active when its range exceeds this fraction of the largest range.
ACTIVE_FRACTION = 1 / 20


@dataclasses.dataclass(frozen=True)
class InfoMEC:
    """The three scores and everything they are made of.

    Attributes:
      infom: InfoM in [0, 1]: 1 when every active latent informs about a single source.
      infoe: InfoE, at most 1: 1 when every source is linearly decodable. In sample, so at least 0
        up to the fit's tolerance, but for sources so imbalanced that balanced weights do worse than
        a uniform guess.
      infoc: InfoC in [0, 1]: 1 when every source is told by a single latent.
      infoe_heldout: InfoE fitted on one half of the samples and scored on the other, at most 1 and
        unbounded below (a confident mistake costs any number of nats); None when not asked for.
      nmi_SxZ: I(source; latent) / H(source); rows are sources, inactive latents included.
      active_latents: (Z,) bool.
      varying_sources: (S,) bool; sources that never vary enter no mean.
      infom_Z: InfoM of each latent, NaN where inactive.
      infoc_S: InfoC of each source, NaN where constant.
      infoe_S: InfoE of each source, NaN where constant.
      infoe_heldout_S: the same for the held-out fit, or None.
      h_source_null: (S,) ln(number of classes) in nats, what InfoE normalises by.
      h_source_empirical: (S,) entropy of each source in the samples, in nats; below `h_source_null`
        where classes are imbalanced.
      num_samples: N.
      protocol: how each number was computed, in words.
    """

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

    def scores(self) -> dict[str, float]:
        """The scalars that go into a record or a table."""
        scores = {"infom": self.infom, "infoe": self.infoe, "infoc": self.infoc}
        if self.infoe_heldout is not None:
            scores["infoe_heldout"] = self.infoe_heldout
        return scores


def compute_infomec(
    sources_NxS: Any,
    latents_NxZ: Any,
    *,
    discrete: bool,
    num_neighbors: int = information.NUM_NEIGHBORS,
    heldout: bool = True,
    backend: str = "numpy",
) -> InfoMEC:
    """Computes InfoMEC of N samples; the paper uses 10,000.

    Deterministic: nothing is drawn, and the same arrays give the same bits on any number of
    threads. It uses as many as BLAS may (OMP_NUM_THREADS), one to a source or latent.

    Cases that have no number in the paper's formulas:
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
      * Fewer samples than `num_neighbors`, or classes that small: see
        `information.compute_ross_information`.
      * Held out, a class that the fitted half lacks cannot be predicted; its samples are not
        scored. A source with fewer than two classes left in either half scores 0.

    Args:
      sources_NxS: (N, S) integer class labels.
      latents_NxZ: (N, Z) integer codes (`discrete`) or real values. Of a quantized model pass the
        indices: dequantised floats split one code into several values.
      discrete: whether latents are codes.
      num_neighbors: k of the nearest-neighbour estimate for continuous latents.
      heldout: whether to also compute `infoe_heldout`, which adds about half of the time.
      backend: "numpy", or "jax" for the same numbers (to 1e-5) from JAX's default device.

    Raises:
      InputError: a ValueError of one line: bad arrays (see `make_samples`), no such backend, or
        `num_neighbors` below 1.
    """
    if num_neighbors < 1:
        raise InputError(f"num_neighbors is {num_neighbors}, expected at least 1: the paper has 10")
    samples = make_samples(sources_NxS, latents_NxZ, discrete=discrete)
    varying_S = samples.varying_sources
    active_Z = find_active_latents(samples)
    compute_nmi, compute_losses = _choose_backend(backend)
    nmi_SxZ = compute_nmi(samples, num_neighbors=num_neighbors)
    relevant = nmi_SxZ[np.ix_(varying_S, active_Z)]
    infom_Z = _spread(_concentration(relevant.T), active_Z)
    infoc_S = _spread(_concentration(relevant), varying_S)
    rows = np.arange(samples.num_samples)
    infoe_S = compute_explicitness(samples, rows, rows, compute_losses)
    infoe_heldout_S = None
    if heldout:
        fitted, scored = halve_rows(samples.num_samples)
        infoe_heldout_S = compute_explicitness(samples, fitted, scored, compute_losses)
    return InfoMEC(
        infom=_mean(infom_Z),
        infoe=_mean(infoe_S),
        infoc=_mean(infoc_S),
        infoe_heldout=None if infoe_heldout_S is None else _mean(infoe_heldout_S),
        nmi_SxZ=nmi_SxZ,
        active_latents=active_Z,
        varying_sources=varying_S,
        infom_Z=infom_Z,
        infoc_S=infoc_S,
        infoe_S=infoe_S,
        infoe_heldout_S=infoe_heldout_S,
        h_source_null=np.log(samples.num_classes),
        h_source_empirical=information.compute_source_entropies(samples),
        num_samples=samples.num_samples,
        protocol=_describe(discrete, num_neighbors),
    )


def _choose_backend(name: str) -> tuple[Callable[..., np.ndarray], ComputeLosses]:
    """What computes the NMI and the log losses."""
    if name == "numpy":
        return information.compute_nmi, logistic.compute_losses
    if name == "jax":
        # Imported late: who scores arrays with numpy need not wait for JAX.
        from eval.metrics import accelerated

        return accelerated.compute_nmi, accelerated.compute_losses
    raise InputError(f"no backend is called {name!r}: it is 'numpy' or 'jax'")


def find_active_latents(samples: Samples) -> np.ndarray:
    """(Z,) bool: codes that take several values, or values with over 1/20 of the largest range."""
    if samples.discrete:
        return np.array(samples.num_codes) > 1
    # Halves, so that the range of values near the largest float stays finite.
    half_range_Z = np.ptp(samples.latents_NxZ / 2, axis=0)
    return half_range_Z > half_range_Z.max() * ACTIVE_FRACTION


def _concentration(information_RxK: np.ndarray) -> np.ndarray:
    """Each row's largest share of its own sum, rescaled from [1/K, 1] to [0, 1]; (R,)."""
    total_R = information_RxK.sum(axis=1)
    informative_R = total_R > 0
    width = information_RxK.shape[1]
    if width < 2:
        return informative_R.astype(np.float64)
    top_R = information_RxK.max(axis=1)
    share_R = np.divide(top_R, total_R, out=np.zeros_like(top_R), where=informative_R)
    return np.where(informative_R, np.maximum(share_R - 1 / width, 0) / (1 - 1 / width), 0.0)


def _spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """`values` at the true places of `where`, NaN elsewhere."""
    spread = np.full(len(where), np.nan)
    spread[where] = values
    return spread


def _mean(values: np.ndarray) -> float:
    """Mean over what is not NaN; 0 over nothing."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else 0.0


def _describe(discrete: bool, num_neighbors: int) -> dict[str, str]:
    """The protocol in words, to print beside the numbers."""
    if discrete:
        nmi = "plug-in I / H(source)"
        active = "more than one value occurs"
        features = "one-hot codes"
    else:
        nmi = f"Ross 2014 nearest neighbours, k = {num_neighbors}, I / H(source)"
        active = "range > largest range / 20"
        features = "standardised values"
    return {
        "nmi": nmi,
        "active_latents": active,
        "explicitness": (
            f"unpenalised multinomial logistic regression on {features} of all latents, balanced "
            f"classes, L-BFGS of at most {logistic.MAX_ITERATIONS} iterations, tolerance "
            f"{logistic.TOLERANCE:g}, plain log loss in sample, null entropy ln(classes)"
        ),
        "explicitness_heldout": "the same, fitted on a fixed random half, scored on the other half",
    }
