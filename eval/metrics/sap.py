"""SAP: by how much the best single latent predicts each source better than the second best.

Kumar, Sattigeri, Balakrishnan, "Variational Inference of Disentangled Latent Concepts from
Unlabeled Observations", ICLR 2018, section 3.
"""

import warnings
from typing import Any

import numpy as np
from sklearn import exceptions, svm

from .samples import drop_constant_sources, halve_rows, make_samples
from .threads import one_thread

# Beyond it the machine's fourth powers overflow, and its search for a step never ends.
_LARGEST = 1e60


def compute_sap(
    sources_NxS: Any, latents_NxZ: Any, *, discrete: bool, seed: int = 0
) -> dict[str, float]:
    """Separated attribute predictability: mean over sources of the gap of the best two accuracies.

    A linear support vector machine (C = 0.01, balanced classes, as in Locatello et al., ICML 2019)
    predicts one source from one latent; fitted on half of the samples, scored on the other half.
    Codes enter as numbers, a latent that passes 1e60 scaled down to it. A constant source is left
    out, as is one of which the fitted half shows one value only. With one latent the second is one
    that is constant.

    Returns:
      "sap" in [0, 1]. 1 is out of reach of a line for sources of many values: a perfect code of
      ten evenly spaced values scores far less.

    Raises:
      InputError: see `make_samples`.
    """
    samples = drop_constant_sources(make_samples(sources_NxS, latents_NxZ, discrete=discrete))
    latents_NxZ = samples.latents_NxZ.astype(np.float64)
    latents_NxZ /= np.maximum(1, np.abs(latents_NxZ).max(axis=0) / _LARGEST)
    if latents_NxZ.shape[1] == 1:
        latents_NxZ = np.pad(latents_NxZ, ((0, 0), (0, 1)))
    fitted, scored = halve_rows(samples.num_samples)
    gaps = []
    with one_thread():
        for labels_N in samples.sources_NxS.T:
            if len(np.unique(labels_N[fitted])) < 2 or not len(scored):
                continue
            accuracy_Z = [
                _accuracy(latent_N, labels_N, fitted, scored, seed) for latent_N in latents_NxZ.T
            ]
            second, first = sorted(accuracy_Z)[-2:]
            gaps.append(first - second)
    return {"sap": float(np.mean(gaps)) if gaps else 0.0}


def _accuracy(
    latent_N: np.ndarray, labels_N: np.ndarray, fitted: np.ndarray, scored: np.ndarray, seed: int
) -> float:
    """Held-out accuracy of a linear machine on one latent."""
    machine = svm.LinearSVC(C=0.01, class_weight="balanced", dual="auto", random_state=seed)
    with warnings.catch_warnings():
        # Badly scaled latents stop at the iteration limit, in the published metric too.
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        machine.fit(latent_N[fitted, None], labels_N[fitted])
    return float((machine.predict(latent_N[scored, None]) == labels_N[scored]).mean())
