"""MIG: by how much the most informative latent of each source leads the second.

Chen, Li, Grosse, Duvenaud, "Isolating Sources of Disentanglement in VAEs", NeurIPS 2018, section 4.
"""

from typing import Any

import numpy as np

from . import information
from .samples import make_binned, make_samples


def compute_mig(sources_NxS: Any, latents_NxZ: Any, *, discrete: bool) -> dict[str, float]:
    """Mutual information gap, mean over sources of (I_first - I_second) / H(source).

    Continuous latents are cut into 20 bins of equal width. A constant source is left out. With one
    latent the second is one that says nothing.

    Returns:
      "mig" in [0, 1], 1 when each source is known from one latent and from no other.

    Raises:
      InputError: see `make_samples`.
    """
    samples = make_binned(make_samples(sources_NxS, latents_NxZ, discrete=discrete))
    nmi_SxZ = information.compute_nmi(samples)[samples.varying_sources]
    ranked_SxZ = np.sort(np.pad(nmi_SxZ, ((0, 0), (1, 0))), axis=1)
    return {"mig": float((ranked_SxZ[:, -1] - ranked_SxZ[:, -2]).mean())}
