"""InfoE: the share of each source's entropy that a linear model of the latents explains."""

import numpy as np

from .dialects import Dialect
from .information import compute_entropy
from .logistic import Task, compute_losses
from .samples import Samples


def compute_explicitness(
    samples: Samples,
    fitted_M: np.ndarray,
    scored_M: np.ndarray,
    dialect: Dialect,
    *,
    uniform_share: float = 0.0,
) -> np.ndarray:
    """(H_V(s) - H_V(s given z)) / H_V(s) of each source, fitted on some rows and scored on others.

    Args:
      samples: sources and latents.
      fitted_M: rows to fit on.
      scored_M: rows to score.
      dialect: decides the features, the penalty, the iterations, H_V(s) and what is clipped.
      uniform_share: of every prediction that is replaced by the uniform one. Without a penalty the
        weights of a separable half run away, and a single confident mistake then costs any number
        of nats; with a share of 1 / M it costs at most ln(M classes).

    Returns:
      (S,), at most 1. NaN for a constant source; 0 for one of which the fitted rows show fewer than
      two classes, or the scored rows none of those. Rows of a class that was not fitted are not
      scored.
    """
    infoe_S = np.where(samples.varying_sources, 0.0, np.nan)
    tasks = {}
    for i in np.flatnonzero(samples.varying_sources):
        labels_N = samples.sources_NxS[:, i]
        task = _make_task(labels_N[fitted_M], labels_N[scored_M])
        if task.num_classes > 1 and task.known_M.any():
            tasks[i] = task
    losses = compute_losses(samples, fitted_M, scored_M, list(tasks.values()), dialect)
    for (i, task), loss_M in zip(tasks.items(), losses, strict=True):
        if uniform_share:
            predicted_M = np.exp(-loss_M) * (1 - uniform_share)
            loss_M = -np.log(predicted_M + uniform_share / task.num_classes)
        null = np.log(task.num_classes)
        if dialect.null_entropy == "plug-in":
            null = compute_entropy(np.bincount(task.scored_labels_M[task.known_M]))
        infoe_S[i] = 1 - loss_M[task.known_M].mean() / null
    return np.clip(infoe_S, 0, 1) if dialect.clips_infoe else infoe_S


def _make_task(fitted_M: np.ndarray, scored_M: np.ndarray) -> Task:
    classes, fitted_labels_M = np.unique(fitted_M, return_inverse=True)
    known_M = np.isin(scored_M, classes)
    scored_labels_M = np.searchsorted(classes, np.where(known_M, scored_M, classes[0]))
    return Task(fitted_labels_M, scored_labels_M, known_M, len(classes))
