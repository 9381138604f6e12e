"""Multinomial logistic regression without penalty: the predictive family V of InfoE.

The objective and its stopping rule are those of an unpenalised scikit-learn LogisticRegression with
balanced class weights, so both walk the same path of L-BFGS iterates, also where the iterations run
out before convergence. It is faster because of two facts: a sample of one-hot codes needs one table
row per latent instead of a dense product, and tables of several latents can be merged.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy import optimize, sparse

from eval.metrics.samples import Samples, standardise

MAX_ITERATIONS = 100
TOLERANCE = 1e-4
# Latents share a table while it stays in the first-level cache.
_TABLE_ROWS = 1024


class Features(Protocol):
    """A linear map from weights (F, C) to one logit per sample and class, and its transpose."""

    num_weights: int

    def logits(self, weights_FxC: np.ndarray) -> np.ndarray:
        """(N, C) logits."""

    def transpose(self, values_NxC: np.ndarray) -> np.ndarray:
        """(F, C) sums of `values_NxC` over samples, weighted by the features."""


class DenseFeatures:
    """Real-valued features and an intercept."""

    def __init__(self, values_NxF: np.ndarray):
        ones_Nx1 = np.ones((len(values_NxF), 1))
        self._values_NxF = np.concatenate([values_NxF, ones_Nx1], axis=1)
        self.num_weights = self._values_NxF.shape[1]

    def logits(self, weights_FxC: np.ndarray) -> np.ndarray:
        """(N, C) logits."""
        return self._values_NxF @ weights_FxC

    def transpose(self, values_NxC: np.ndarray) -> np.ndarray:
        """(F, C) sums over samples."""
        return self._values_NxF.T @ values_NxC


class CodeFeatures:
    """One-hot codes and an intercept, as sums of rows of a few small tables.

    Latents are merged, a few at a time, into one code that indexes a table of their summed weights.
    """

    def __init__(self, codes_NxZ: np.ndarray, num_codes: tuple[int, ...]):
        # The intercept is a code that never varies.
        codes_NxZ = np.concatenate([codes_NxZ, np.zeros((len(codes_NxZ), 1), np.int64)], axis=1)
        sizes = (*num_codes, 1)
        self.num_weights = sum(sizes)
        self._groups: list[list[slice]] = []
        self._shapes: list[tuple[int, ...]] = []
        columns: list[np.ndarray] = []
        first_weight = 0
        for code_N, size in zip(codes_NxZ.T, sizes, strict=True):
            weights = slice(first_weight, first_weight + size)
            first_weight += size
            if self._groups and np.prod(self._shapes[-1]) * size <= _TABLE_ROWS:
                self._groups[-1].append(weights)
                self._shapes[-1] += (size,)
                columns[-1] = columns[-1] * size + code_N
            else:
                self._groups.append([weights])
                self._shapes.append((size,))
                columns.append(code_N)
        first_rows = np.cumsum([0] + [int(np.prod(shape)) for shape in self._shapes])
        rows_NxG = np.stack(columns, axis=1) + first_rows[:-1]
        ends = np.arange(0, rows_NxG.size + 1, len(columns))
        self._select_NxT = sparse.csr_array(
            (np.ones(rows_NxG.size), rows_NxG.ravel().astype(np.int32), ends.astype(np.int32)),
            shape=(len(codes_NxZ), int(first_rows[-1])),
        )
        self._select_TxN = self._select_NxT.T.tocsr()

    def logits(self, weights_FxC: np.ndarray) -> np.ndarray:
        """(N, C) logits."""
        tables = []
        for group in self._groups:
            table = weights_FxC[group[0]]
            for weights in group[1:]:
                table = (table[:, None] + weights_FxC[weights]).reshape(-1, weights_FxC.shape[1])
            tables.append(table)
        return self._select_NxT @ np.concatenate(tables)

    def transpose(self, values_NxC: np.ndarray) -> np.ndarray:
        """(F, C) sums over samples."""
        sums_TxC = self._select_TxN @ values_NxC
        parts = []
        first_row = 0
        for shape in self._shapes:
            rows = int(np.prod(shape))
            block = sums_TxC[first_row : first_row + rows].reshape(*shape, -1)
            first_row += rows
            for axis in range(len(shape)):
                others = tuple(other for other in range(len(shape)) if other != axis)
                parts.append(block.sum(axis=others))
        return np.concatenate(parts)


def make_features(samples: Samples, rows_M: np.ndarray) -> Features:
    """The latents of some rows as features; all rows agree on codes and on the scale of values."""
    if samples.discrete:
        return CodeFeatures(samples.latents_NxZ[rows_M], samples.num_codes)
    return DenseFeatures(standardise(samples.latents_NxZ)[rows_M])


def fit_weights(features: Features, labels_N: np.ndarray, num_classes: int) -> np.ndarray:
    """Weights (F, C) after at most MAX_ITERATIONS of L-BFGS from zero; every class must occur."""
    count_C = np.bincount(labels_N, minlength=num_classes)
    balance_N = (1.0 / (num_classes * count_C))[labels_N]
    result = optimize.minimize(
        _make_objective(features, labels_N, balance_N, num_classes),
        np.zeros(features.num_weights * num_classes),
        method="L-BFGS-B",
        jac=True,
        options={
            "maxiter": MAX_ITERATIONS,
            "maxls": 50,
            "gtol": TOLERANCE,
            "ftol": 64 * np.finfo(np.float64).eps,
        },
    )
    return result.x.reshape(-1, num_classes)


def compute_log_loss(
    features: Features, weights_FxC: np.ndarray, labels_N: np.ndarray
) -> np.ndarray:
    """Unweighted -ln p(label) of each sample, (N,), at least 0."""
    logits_NxC = features.logits(weights_FxC)
    top_N = logits_NxC.max(axis=1)
    log_total_N = np.log(np.exp(logits_NxC - top_N[:, None]).sum(axis=1)) + top_N
    return log_total_N - logits_NxC[np.arange(len(labels_N)), labels_N]


def _make_objective(
    features: Features, labels_N: np.ndarray, balance_N: np.ndarray, num_classes: int
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """The balanced cross entropy and its gradient, as a function of flat weights."""
    target_FxC = features.transpose(np.eye(num_classes)[labels_N] * balance_N[:, None])
    ones_C = np.ones(num_classes)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights_FxC = flat.reshape(-1, num_classes)
        logits_NxC = features.logits(weights_FxC)
        loss = -np.vdot(weights_FxC, target_FxC)
        with np.errstate(over="ignore"):
            exp_NxC = np.exp(logits_NxC)
        total_N = exp_NxC @ ones_C
        if not (total_N.min() > 1e-280 and total_N.max() < 1e280):
            # Only logits in the hundreds come here: shift each sample's greatest logit to 0.
            top_N = logits_NxC.max(axis=1)
            loss += balance_N @ top_N
            exp_NxC = np.exp(logits_NxC - top_N[:, None])
            total_N = exp_NxC @ ones_C
        loss += balance_N @ np.log(total_N)
        exp_NxC *= (balance_N / total_N)[:, None]
        return loss, (features.transpose(exp_NxC) - target_FxC).ravel()

    return objective
