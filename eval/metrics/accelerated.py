"""The heavy parts of InfoMEC jitted for an accelerator: other machinery, the same numbers.

What the numbers mean is written elsewhere: `information` holds the estimators, `explicitness` the
protocol of InfoE, `logistic` its constants. All is float64 whatever JAX is set to, because fits
that stop unconverged amplify float32 rounding to the third digit.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from eval.metrics import information, logistic
from eval.metrics.explicitness import Task
from eval.metrics.lbfgs import minimize
from eval.metrics.samples import Samples, standardise

# Features are padded with zeros to a multiple of this, so that codes that fall out of use between
# two checkpoints do not compile everything again.
_FEATURE_MULTIPLE = 64


def compute_nmi(samples: Samples, *, num_neighbors: int = information.NUM_NEIGHBORS) -> np.ndarray:
    """The same as `information.compute_nmi`; discrete latents give the same bits."""
    with jax.enable_x64(True):
        compute = _compute_discrete_information if samples.discrete else _compute_ross_information
        return information.normalise(samples, compute(samples, num_neighbors))


def compute_losses(
    samples: Samples, fitted_M: np.ndarray, scored_M: np.ndarray, tasks: list[Task]
) -> list[np.ndarray]:
    """The same as `logistic.compute_losses`, with all tasks side by side in one loop."""
    if not tasks:
        return []
    features_NxF = _make_features(samples)
    num_classes = max(task.num_classes for task in tasks)
    labels_TxM = np.stack([task.fitted_labels_M for task in tasks])
    balance_TxM = np.stack(
        [logistic.balance(task.fitted_labels_M, task.num_classes) for task in tasks]
    )
    present_TxC = np.arange(num_classes) < np.array([[task.num_classes] for task in tasks])
    scored_labels_TxM = np.stack([task.scored_labels_M for task in tasks])
    with jax.enable_x64(True):
        losses_TxM = _fit_and_score(
            features_NxF[fitted_M],
            labels_TxM,
            balance_TxM,
            present_TxC,
            features_NxF[scored_M],
            scored_labels_TxM,
        )
        return list(np.asarray(losses_TxM))


def _make_features(samples: Samples) -> np.ndarray:
    """One-hot codes or standardised values, an intercept, and zeros up to a round width."""
    if samples.discrete:
        columns = zip(samples.latents_NxZ.T, samples.num_codes, strict=True)
        blocks = [np.eye(num_codes)[code_N] for code_N, num_codes in columns]
    else:
        blocks = [standardise(samples.latents_NxZ)]
    features_NxF = np.concatenate([*blocks, np.ones((samples.num_samples, 1))], axis=1)
    return np.pad(features_NxF, ((0, 0), (0, -features_NxF.shape[1] % _FEATURE_MULTIPLE)))


@jax.jit
@functools.partial(jax.vmap, in_axes=(None, 0, 0, 0, None, 0))
def _fit_and_score(
    features_NxF: Any,
    labels_N: Any,
    balance_N: Any,
    present_C: Any,
    scored_MxF: Any,
    scored_labels_M: Any,
) -> Any:
    """Log loss (M,) of the scored rows of one task, after its fit."""
    num_classes = len(present_C)
    target_FxC = features_NxF.T @ (jax.nn.one_hot(labels_N, num_classes) * balance_N[:, None])

    def log_totals(values_NxF: Any, weights_FxC: Any) -> tuple[Any, Any]:
        logits_NxC = jnp.where(present_C, values_NxF @ weights_FxC, -jnp.inf)
        return jax.nn.logsumexp(logits_NxC, axis=1), logits_NxC

    def objective(flat: Any) -> Any:
        weights_FxC = flat.reshape(-1, num_classes)
        return balance_N @ log_totals(features_NxF, weights_FxC)[0] - jnp.vdot(
            weights_FxC, target_FxC
        )

    flat = minimize(
        objective,
        jnp.zeros(target_FxC.size, features_NxF.dtype),
        max_iterations=logistic.MAX_ITERATIONS,
        gradient_tolerance=logistic.TOLERANCE,
        loss_tolerance=logistic.LOSS_TOLERANCE,
        max_evaluations=logistic.MAX_EVALUATIONS,
    )
    log_total_M, logits_MxC = log_totals(scored_MxF, flat.reshape(-1, num_classes))
    return log_total_M - jnp.take_along_axis(logits_MxC, scored_labels_M[:, None], axis=1)[:, 0]


def _compute_discrete_information(samples: Samples, num_neighbors: int) -> np.ndarray:
    """All contingency tables as one product of one-hot matrices, whose sums are exact integers."""
    del num_neighbors
    num_codes = max(samples.num_codes)
    num_classes = max(samples.num_classes)
    counts_SxZxCxV = _count_pairs(samples.sources_NxS, samples.latents_NxZ, num_classes, num_codes)
    counts_SxZxCxV = np.asarray(counts_SxZxCxV).astype(np.int64)
    return information.information_of_counts(counts_SxZxCxV, samples)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _count_pairs(sources_NxS: Any, codes_NxZ: Any, num_classes: int, num_codes: int) -> Any:
    sources_NxSxC = jax.nn.one_hot(sources_NxS, num_classes, dtype=jnp.float32)
    codes_NxZxV = jax.nn.one_hot(codes_NxZ, num_codes, dtype=jnp.float32)
    return jnp.einsum("nsc,nzv->szcv", sources_NxSxC, codes_NxZxV, precision="highest")


def _compute_ross_information(samples: Samples, num_neighbors: int) -> np.ndarray:
    layouts = [
        information.make_layout(labels_N, num_neighbors) for labels_N in samples.sources_NxS.T
    ]
    latents_ZxN = standardise(samples.latents_NxZ).T
    gaps_ZxN = np.diff(np.sort(latents_ZxN, axis=1), axis=1)
    information_ZxS = _ross_all(
        np.ascontiguousarray(latents_ZxN),
        samples.sources_NxS.T.astype(np.int32),
        np.stack([layout.size_N for layout in layouts]),
        np.stack([layout.rank_N for layout in layouts]),
        np.stack([layout.k_N for layout in layouts]),
        information.make_digamma(samples.num_samples),
        max_k=max(layout.max_k for layout in layouts),
        has_singles=any(layout.has_singles for layout in layouts),
        has_ties=bool((gaps_ZxN <= information.RESOLUTION).any()),
    )
    return np.asarray(information_ZxS).T


@functools.partial(jax.jit, static_argnames=("max_k", "has_singles", "has_ties"))
def _ross_all(
    latents_ZxN: Any,
    labels_SxN: Any,
    size_SxN: Any,
    rank_SxN: Any,
    k_SxN: Any,
    digamma: Any,
    *,
    max_k: int,
    has_singles: bool,
    has_ties: bool,
) -> Any:
    """(Z, S) estimates."""

    def estimate(sorted_N: Any, labels_N: Any, size_N: Any, rank_N: Any, k_N: Any) -> Any:
        layout = information.Layout(size_N, rank_N, k_N, max_k, jnp.int32, has_singles)
        return information.ross(jnp, sorted_N, labels_N, layout, digamma, has_ties)

    def estimate_latent(latent_N: Any) -> Any:
        order_N = jnp.argsort(latent_N, stable=True)
        labels = labels_SxN[:, order_N]
        by_source = jax.vmap(estimate, in_axes=(None, 0, 0, 0, 0))
        return by_source(latent_N[order_N], labels, size_SxN, rank_SxN, k_SxN)

    return jax.vmap(estimate_latent)(latents_ZxN)
