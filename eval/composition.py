"""Latents of a combination of sources that no image shows, made of what images show apart."""

import numpy as np


def compose_latents(
    wanted_S: np.ndarray, sources_NxS: np.ndarray, latents_NxZ: np.ndarray, nmi_SxZ: np.ndarray
) -> np.ndarray:
    """Gives each latent what it usually is where the source that it tells most about is as wanted.

    Args:
        wanted_S: int, the class of each source.
        sources_NxS: int classes of encoded images, with every wanted class among them.
        latents_NxZ: of these images, indices or real values.
        nmi_SxZ: which latent tells about which source.

    Returns:
        (Z,) latents: the most frequent index, or the median of real values.
    """
    composed_Z = np.empty_like(latents_NxZ[0])
    for latent, source in enumerate(nmi_SxZ.argmax(axis=0)):
        alike_M = latents_NxZ[sources_NxS[:, source] == wanted_S[source], latent]
        is_index = np.issubdtype(alike_M.dtype, np.integer)
        composed_Z[latent] = np.bincount(alike_M).argmax() if is_index else np.median(alike_M)
    return composed_Z
