"""One checked form of (sources, latents), so that every metric sees the same clean arrays."""

import dataclasses
from typing import Any

import numpy as np

from .errors import InputError


@dataclasses.dataclass(frozen=True)
class Samples:
    """N paired samples of sources and latents.

    Attributes:
      sources_NxS: int64 class labels; column i takes every value in [0, num_classes[i]).
      latents_NxZ: float64, finite. When `discrete`, integer codes held as int64: column j takes
        every value in [0, num_codes[j]).
      num_classes: number of distinct values of each source.
      num_codes: number of distinct values of each latent; empty for continuous latents.
      discrete: whether the latents are codes.
      values_NxZ: the latents as they were given, float64; of codes their own values.
      given_as_integers: whether their dtype was one of integers.
    """

    sources_NxS: np.ndarray
    latents_NxZ: np.ndarray
    num_classes: tuple[int, ...]
    num_codes: tuple[int, ...]
    discrete: bool
    values_NxZ: np.ndarray
    given_as_integers: bool

    @property
    def num_samples(self) -> int:
        """The number of samples N."""
        return self.sources_NxS.shape[0]

    @property
    def varying_sources(self) -> np.ndarray:
        """Which sources take more than one value, (S,) bool."""
        return np.array(self.num_classes) > 1


def make_samples(sources: Any, latents: Any, *, discrete: bool) -> Samples:
    """Checks (N, S) sources and (N, Z) latents and relabels classes and codes without gaps.

    Sources may be integers, booleans or floats with integral values; latents any real dtype. Codes
    are told apart by exact value, so feed integer indices, not dequantised floats: rounding gives
    one codebook value several neighbouring floats.

    Raises:
      InputError: wrong number of dimensions, no rows or columns, lengths that differ, NaN or inf,
        dtypes that are not real numbers, sources that are not integral, or no source that varies.
    """
    sources_NxS = _real_matrix(sources, "sources", "S")
    latents_NxZ = _real_matrix(latents, "latents", "Z")
    _check_lengths(sources_NxS, latents_NxZ)
    if sources_NxS.dtype.kind == "f" and np.any(sources_NxS != np.round(sources_NxS)):
        raise InputError(
            "sources hold fractional values, expected integer class labels: pass the index of "
            "each source's value instead"
        )
    sources_NxS, num_classes = _relabel(sources_NxS)
    if max(num_classes) < 2:
        raise InputError(
            "no source takes more than one value, so there is nothing to disentangle: pass "
            "samples in which at least one source varies"
        )
    integers = latents_NxZ.dtype.kind in "iu"
    values_NxZ = latents_NxZ.astype(np.float64)
    num_codes: tuple[int, ...] = ()
    if discrete:
        latents_NxZ, num_codes = _relabel(latents_NxZ)
    else:
        latents_NxZ = values_NxZ
    return Samples(sources_NxS, latents_NxZ, num_classes, num_codes, discrete, values_NxZ, integers)


def make_pairs(sources: Any, latents: Any, *, per_source: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Checks (N, S) sources and (N, Z) latents that both enter as real numbers; float64.

    Raises:
      InputError: wrong number of dimensions, no rows or columns, lengths that differ, NaN or inf,
        dtypes that are not real numbers, or fewer than `per_source` S + 1 rows.
    """
    sources_NxS = _real_matrix(sources, "sources", "S").astype(np.float64)
    latents_NxZ = _real_matrix(latents, "latents", "Z").astype(np.float64)
    _check_lengths(sources_NxS, latents_NxZ)
    fewest = per_source * sources_NxS.shape[1] + 1
    if len(sources_NxS) < fewest:
        raise InputError(f"there are {len(sources_NxS)} samples: pass at least {fewest}")
    return sources_NxS, latents_NxZ


def drop_constant_sources(samples: Samples) -> Samples:
    """The same samples without the sources that never vary; at least one is left."""
    varying_S = samples.varying_sources
    return dataclasses.replace(
        samples,
        sources_NxS=samples.sources_NxS[:, varying_S],
        num_classes=tuple(num for num in samples.num_classes if num > 1),
    )


def make_binned(samples: Samples, num_bins: int = 20) -> Samples:
    """The same samples with continuous latents cut into bins of equal width, as codes.

    20 bins by latent are the convention of Locatello et al. (ICML 2019) for MIG and modularity.
    Latents that are codes stay as they are.
    """
    if samples.discrete:
        return samples
    bins_NxZ = cut_into_bins(samples.latents_NxZ, num_bins)
    codes_NxZ, num_codes = _relabel(bins_NxZ)
    return dataclasses.replace(
        samples,
        latents_NxZ=codes_NxZ,
        num_codes=num_codes,
        discrete=True,
        values_NxZ=codes_NxZ.astype(np.float64),
        given_as_integers=True,
    )


def cut_into_bins(values_NxK: np.ndarray, num_bins: int = 20) -> np.ndarray:
    """Columns as int64 bins of equal width, from 0; a column that never varies is all 0."""
    unit_NxK = standardise(values_NxK)
    low_K = unit_NxK.min(axis=0)
    extent_K = unit_NxK.max(axis=0) - low_K
    scale_K = np.divide(num_bins, extent_K, out=np.zeros_like(extent_K), where=extent_K > 0)
    return np.minimum((unit_NxK - low_K) * scale_K, num_bins - 1).astype(np.int64)


def make_doubled(samples: Samples, noise: float) -> Samples:
    """Continuous samples given twice, latents standardised and with normal noise (always the same).

    Modular2025 does so before it estimates anything, so that every sample has a neighbour of its
    own class.
    """
    unit_NxZ = np.concatenate([standardise(samples.latents_NxZ)] * 2)
    latents_NxZ = unit_NxZ + np.random.default_rng(0).normal(0, noise, unit_NxZ.shape)
    return dataclasses.replace(
        samples, sources_NxS=np.concatenate([samples.sources_NxS] * 2), latents_NxZ=latents_NxZ
    )


def make_coarse(samples: Samples, max_classes: int) -> Samples:
    """The same samples with sources of more classes cut into that many bins of equal width."""
    columns, nums = [], []
    for labels_N, num in zip(samples.sources_NxS.T, samples.num_classes, strict=True):
        if num > max_classes:
            bins_N = labels_N * max_classes // (num - 1)
            labels_N = np.minimum(bins_N, max_classes - 1)
            num = max_classes
        columns.append(labels_N)
        nums.append(num)
    return dataclasses.replace(
        samples, sources_NxS=np.stack(columns, axis=1), num_classes=tuple(nums)
    )


def halve_rows(num_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit on and other rows to score, always the same ones for the same N.

    Shuffled, because samples often come in the order of their sources; ascending within each half.
    """
    rows = np.random.Generator(np.random.PCG64(0)).permutation(num_samples)
    middle = (num_samples + 1) // 2
    return np.sort(rows[:middle]), np.sort(rows[middle:])


def standardise(values_NxZ: np.ndarray) -> np.ndarray:
    """Zero mean and unit (population) variance by column; a column that never varies becomes 0."""
    # Halves and a unit scale keep ranges and squares of huge or tiny values inside float64.
    varies_Z = np.ptp(values_NxZ / 2, axis=0) > 0
    scale_Z = np.where(varies_Z, np.abs(values_NxZ).max(axis=0), 1.0)
    unit_NxZ = values_NxZ / scale_Z
    deviation_Z = np.where(varies_Z, unit_NxZ.std(axis=0), 1.0)
    return np.where(varies_Z, (unit_NxZ - unit_NxZ.mean(axis=0)) / deviation_Z, 0.0)


def _real_matrix(values: Any, name: str, columns: str) -> np.ndarray:
    """`values` as a finite two-dimensional array of real numbers."""
    values = np.asarray(values)
    if values.ndim != 2:
        raise InputError(
            f"{name} have shape {values.shape}, expected (N, {columns}): one row per sample and "
            "one column per variable"
        )
    if 0 in values.shape:
        raise InputError(f"{name} have shape {values.shape}: pass at least one row and one column")
    if values.dtype.kind == "b":
        values = values.astype(np.int64)
    # jax's bfloat16 has kind "V": what casts safely to float64 is a real number all the same.
    if values.dtype.kind not in "iuf" and not np.can_cast(values.dtype, np.float64):
        raise InputError(f"{name} have dtype {values.dtype}, expected integers or real numbers")
    if values.dtype.kind not in "iu":
        values = values.astype(np.float64)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).any(axis=1).sum())
        raise InputError(f"{name} hold NaN or inf in {bad} of {len(values)} rows: drop those rows")
    return values


def _check_lengths(sources_NxS: np.ndarray, latents_NxZ: np.ndarray) -> None:
    if len(sources_NxS) != len(latents_NxZ):
        raise InputError(
            f"sources have {len(sources_NxS)} rows and latents {len(latents_NxZ)}: pass one row "
            "per sample in both, in the same order"
        )


def _relabel(values_NxD: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Columns relabelled to 0, 1, ... in order of value, and how many values each one takes."""
    pairs = [np.unique(column, return_inverse=True) for column in values_NxD.T]
    labels = np.stack([inverse for _, inverse in pairs], axis=1).astype(np.int64)
    return labels, tuple(len(values) for values, _ in pairs)
