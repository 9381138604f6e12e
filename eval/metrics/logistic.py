"""Multinomial logistic regression without penalty: the predictive family V of InfoE.

The objective and its stopping rule are those of an unpenalised scikit-learn LogisticRegression with
balanced class weights, so both walk the same path of L-BFGS iterates, also where the iterations run
out before convergence. It is faster because of two facts: a sample of one-hot codes needs one table
row per latent instead of a dense product, and tables of several latents can be merged.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy import optimize, sparse

from .dialects import Dialect
from .samples import Samples, standardise
from .threads import map_in_threads

TOLERANCE = 1e-4
LOSS_TOLERANCE = 64 * np.finfo(np.float64).eps
MAX_EVALUATIONS = 50
# Latents share a table up to this size; beyond it, merging costs more than it saves.
_TABLE_ROWS = 1024
# Samples to a product: OpenBLAS has a kernel for small products, here twice as fast as the other.
_SLICE = 4096


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
        self._values_FxN = np.concatenate([values_NxF.T, np.ones((1, len(values_NxF)))])
        self.num_weights = len(self._values_FxN)

    def logits(self, weights_FxC: np.ndarray) -> np.ndarray:
        """(N, C) logits, with samples contiguous: sums over few classes are then vectorised."""
        return (weights_FxC.T @ self._values_FxN).T

    def transpose(self, values_NxC: np.ndarray) -> np.ndarray:
        """(F, C) sums over samples."""
        starts = range(0, len(values_NxC), _SLICE)
        slices = (slice(start, start + _SLICE) for start in starts)
        return sum(self._values_FxN[:, rows] @ values_NxC[rows] for rows in slices)


class CodeFeatures:
    """One-hot codes and an intercept, without the products with zero.

    Latents are merged a few at a time into one code, so that a sample picks few rows: the one-hot
    matrix (N, F) is `pick` (N, T), one entry per merged code, times `merge` (T, F).
    """

    def __init__(self, codes_NxZ: np.ndarray, num_codes: tuple[int, ...]):
        # The intercept is a latent that never varies.
        codes_NxZ = np.pad(codes_NxZ, ((0, 0), (0, 1)))
        sizes = (*num_codes, 1)
        first_weights = np.cumsum((0, *sizes))
        picks, merges = [], []
        num_rows = 0
        for latents in _merge_latents(sizes):
            shape = [sizes[j] for j in latents]
            merged_T = np.stack(np.unravel_index(np.arange(math.prod(shape)), shape), axis=1)
            merges.append(_one_hot_rows(merged_T + first_weights[latents], first_weights[-1]))
            picks.append(np.ravel_multi_index(tuple(codes_NxZ[:, latents].T), shape) + num_rows)
            num_rows += len(merged_T)
        self.num_weights = int(first_weights[-1])
        self._merge_TxF = sparse.vstack(merges, format="csr")
        self._pick_NxT = _one_hot_rows(np.stack(picks, axis=1), num_rows)
        self._merge_FxT, self._pick_TxN = self._merge_TxF.T, self._pick_NxT.T

    def logits(self, weights_FxC: np.ndarray) -> np.ndarray:
        """(N, C) logits."""
        return self._pick_NxT @ (self._merge_TxF @ weights_FxC)

    def transpose(self, values_NxC: np.ndarray) -> np.ndarray:
        """(F, C) sums over samples."""
        return self._merge_FxT @ (self._pick_TxN @ values_NxC)


def _merge_latents(sizes: tuple[int, ...]) -> list[list[int]]:
    """Neighbouring latents in groups whose joint code takes at most _TABLE_ROWS values."""
    groups: list[list[int]] = []
    rows = _TABLE_ROWS + 1
    for j, size in enumerate(sizes):
        rows *= size
        if rows > _TABLE_ROWS:
            groups.append([])
            rows = size
        groups[-1].append(j)
    return groups


def _one_hot_rows(columns_RxK: np.ndarray, num_columns: int) -> sparse.csr_array:
    """A sparse matrix (R, num_columns) of ones at K given columns of every row."""
    num_rows, per_row = columns_RxK.shape
    ends = np.arange(0, columns_RxK.size + 1, per_row, dtype=np.int32)
    entries = np.ones(columns_RxK.size), columns_RxK.ravel().astype(np.int32), ends
    return sparse.csr_array(entries, shape=(num_rows, num_columns))


def compute_losses(
    samples: Samples,
    fitted_M: np.ndarray,
    scored_M: np.ndarray,
    tasks: list[Task],
    dialect: Dialect,
) -> list[np.ndarray]:
    """Fits each task on some rows; returns the unweighted log loss of the others, in nats."""
    one_hot = dialect.reads_one_hot(samples)
    fitted = make_features(samples, fitted_M, one_hot)
    scored = fitted if scored_M is fitted_M else make_features(samples, scored_M, one_hot)

    def fit_and_score(task: Task) -> np.ndarray:
        weights_FxC = fit_weights(fitted, task.fitted_labels_M, task.num_classes, dialect)
        return compute_log_loss(scored, weights_FxC, task.scored_labels_M)

    return map_in_threads(fit_and_score, tasks)


def make_features(samples: Samples, rows_M: np.ndarray, one_hot: bool) -> Features:
    """The latents of some rows as features; all rows agree on codes and on the scale of values."""
    if one_hot:
        return CodeFeatures(samples.latents_NxZ[rows_M], samples.num_codes)
    values_NxZ = samples.values_NxZ if samples.discrete else samples.latents_NxZ
    return DenseFeatures(standardise(values_NxZ)[rows_M])


def fit_weights(
    features: Features, labels_N: np.ndarray, num_classes: int, dialect: Dialect
) -> np.ndarray:
    """Weights (F, C) after L-BFGS from zero; every class must occur.

    Two classes have one logit between them, as in scikit-learn: without a penalty that only changes
    the path, with one it changes the optimum.
    """
    num_logits = num_classes if num_classes > 2 else 1
    penalty = dialect.penalty / len(labels_N)
    result = optimize.minimize(
        _make_objective(features, labels_N, num_classes, penalty),
        np.zeros(features.num_weights * num_logits),
        method="L-BFGS-B",
        jac=True,
        options={
            "maxiter": dialect.max_iterations,
            "maxls": MAX_EVALUATIONS,
            "gtol": TOLERANCE,
            "ftol": LOSS_TOLERANCE,
        },
    )
    weights_FxL = result.x.reshape(-1, num_logits)
    return weights_FxL if num_logits > 1 else np.pad(weights_FxL, ((0, 0), (1, 0)))


def balance(labels_N: np.ndarray, num_classes: int) -> np.ndarray:
    """(N,) weights that sum to 1 and give every class the same total; every class must occur."""
    return (1.0 / (num_classes * np.bincount(labels_N, minlength=num_classes)))[labels_N]


def compute_log_loss(
    features: Features, weights_FxC: np.ndarray, labels_N: np.ndarray
) -> np.ndarray:
    """Unweighted -ln p(label) of each sample, (N,), at least 0."""
    logits_NxC = features.logits(weights_FxC)
    logits_NxC -= logits_NxC.max(axis=1, keepdims=True)
    total_N = np.exp(logits_NxC) @ np.ones(logits_NxC.shape[1])
    return np.log(total_N) - logits_NxC[np.arange(len(labels_N)), labels_N]


def _make_objective(
    features: Features, labels_N: np.ndarray, num_classes: int, penalty: float
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """The balanced cross entropy and its gradient, as a function of flat weights.

    Class 0 is worked out from the others: its logits are 0, its probability the rest to 1. The last
    feature is the intercept, which no penalty meets.
    """
    balance_N = balance(labels_N, num_classes)
    target_FxC = features.transpose(np.eye(num_classes)[labels_N] * balance_N[:, None])
    ones_C = np.ones(num_classes - 1)
    overflowed = False

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal overflowed
        relative_FxC, weights_FxL = flat.reshape(-1, 1), flat.reshape(features.num_weights, -1)
        if num_classes > 2:
            relative_FxC = weights_FxL[:, 1:] - weights_FxL[:, :1]
        loss = -np.vdot(target_FxC[:, 1:], relative_FxC)
        exp_NxC = features.logits(relative_FxC)
        if not overflowed:
            with np.errstate(over="ignore"):
                np.exp(exp_NxC, out=exp_NxC)
                total_N = 1 + exp_NxC @ ones_C
            overflowed = not total_N.max() < 1e300
            exp_NxC = features.logits(relative_FxC) if overflowed else exp_NxC
        if overflowed:
            # Logits in the hundreds, which seldom shrink again: shift each sample's greatest to 0.
            top_N = np.maximum(exp_NxC.max(axis=1), 0)
            exp_NxC -= top_N[:, None]
            np.exp(exp_NxC, out=exp_NxC)
            total_N = np.exp(-top_N) + exp_NxC @ ones_C
            loss += balance_N @ top_N
        loss += balance_N @ np.log(total_N)
        exp_NxC *= (balance_N / total_N)[:, None]
        gradient_FxL = features.transpose(exp_NxC) - target_FxC[:, 1:]
        if num_classes > 2:
            gradient_FxL = np.column_stack([-gradient_FxL.sum(axis=1), gradient_FxL])
        if penalty:
            shrunk_FxL = weights_FxL * (np.arange(len(weights_FxL)) < len(weights_FxL) - 1)[:, None]
            loss += penalty / 2 * np.vdot(shrunk_FxL, shrunk_FxL)
            gradient_FxL = gradient_FxL + penalty * shrunk_FxL
        return loss, gradient_FxL.ravel()

    return objective
