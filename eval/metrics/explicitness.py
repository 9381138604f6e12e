"""InfoE: the share of each source's entropy that a linear model of the latents explains."""

import dataclasses
from collections.abc import Callable

import numpy as np

from eval.metrics.samples import Samples


@dataclasses.dataclass(frozen=True)
class Task:
    """One source to predict, with labels 0, 1, ... for the classes that the fitted rows show.

    Attributes:
      fitted_labels_M: labels of the rows to fit on; every class occurs.
      scored_labels_M: labels of the rows to score; 0 where `known_M` is false.
      known_M: which rows to score are of a class that the fitted rows show.
      num_classes: at least 2.
    """

    fitted_labels_M: np.ndarray
    scored_labels_M: np.ndarray
    known_M: np.ndarray
    num_classes: int


# From samples, rows to fit on, rows to score and tasks to each task's log loss of scored rows.
ComputeLosses = Callable[[Samples, np.ndarray, np.ndarray, list[Task]], list[np.ndarray]]


def compute_explicitness(
    samples: Samples, fitted_M: np.ndarray, scored_M: np.ndarray, compute_losses: ComputeLosses
) -> np.ndarray:
    """(H_V(s) - H_V(s given z)) / H_V(s) of each source, fitted on some rows and scored on others.

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
    losses = compute_losses(samples, fitted_M, scored_M, list(tasks.values()))
    for (i, task), loss_M in zip(tasks.items(), losses, strict=True):
        infoe_S[i] = 1 - loss_M[task.known_M].mean() / np.log(task.num_classes)
    return infoe_S


def _make_task(fitted_M: np.ndarray, scored_M: np.ndarray) -> Task:
    classes, fitted_labels_M = np.unique(fitted_M, return_inverse=True)
    known_M = np.isin(scored_M, classes)
    scored_labels_M = np.searchsorted(classes, np.where(known_M, scored_M, classes[0]))
    return Task(fitted_labels_M, scored_labels_M, known_M, len(classes))
