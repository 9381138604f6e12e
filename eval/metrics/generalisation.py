"""InfoE on combinations of sources that a readout was not fitted on."""

from typing import Any

import numpy as np

from .dialects import DEFAULT_DIALECT, Dialect, get_dialect
from .errors import InputError
from .explicitness import compute_explicitness
from .samples import make_samples


def compute_infoe_unseen(
    fitted: tuple[Any, Any],
    unseen: tuple[Any, Any],
    *,
    discrete: bool,
    dialect: str | Dialect = DEFAULT_DIALECT,
) -> dict[str, float]:
    """InfoE whose readout is fitted where sources are independent and scored on other samples.

    In the unseen combinations of a compositional split sources depend on each other, so that no
    information is to be estimated in them; a readout can be scored there.

    Args:
      fitted: sources (N, S) and latents (N, Z) to fit on.
      unseen: sources (M, S) and latents (M, Z) to score.
      discrete: whether latents are codes.
      dialect: decides the readout, as for InfoE.

    Returns:
      "infoe_unseen", at most 1: mean over the sources that vary in the fitted samples.

    Raises:
      InputError: see `make_samples`; or no source varies in the fitted samples.
    """
    sources_NxS, latents_NxZ = (
        np.concatenate([np.asarray(one), np.asarray(other)])
        for one, other in zip(fitted, unseen, strict=True)
    )
    samples = make_samples(sources_NxS, latents_NxZ, discrete=discrete)
    num_fitted = len(np.asarray(fitted[0]))
    rows = np.arange(samples.num_samples)
    infoe_S = compute_explicitness(
        samples,
        rows[:num_fitted],
        rows[num_fitted:],
        get_dialect(dialect),
        uniform_share=1 / num_fitted,
    )
    varying_S = np.ptp(samples.sources_NxS[:num_fitted], axis=0) > 0
    if not varying_S.any():
        raise InputError("no source varies in the samples to fit on: pass more of them")
    return {"infoe_unseen": float(infoe_S[varying_S].mean())}
