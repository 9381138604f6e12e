"""Seeded random order by hashing, the same on every host and with every library version."""

from __future__ import annotations

import numpy as np

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def random_keys(values_N: np.ndarray, seed: int | tuple[int, ...]) -> np.ndarray:
    """Returns uint64 (N,) keys that differ for different values: sort by them to shuffle.

    A seed is any integer, or several; those that are equal modulo 2^64 are the same.

    The mixing function is SplitMix64's (Steele, Lea and Flood, 2014), a bijection of 64 bits.
    """
    state = 0
    for part in seed if isinstance(seed, tuple) else (seed,):
        state = int(_mix(np.array([(state + _GOLDEN + part) & _MASK], np.uint64))[0])
    return _mix(np.asarray(values_N).astype(np.uint64) + np.uint64(state))


def permutation(count: int, seed: int | tuple[int, ...]) -> np.ndarray:
    """Returns the int64 (count,) numbers 0 to count - 1 in random order."""
    return np.argsort(random_keys(np.arange(count), seed))


def _mix(keys_N: np.ndarray) -> np.ndarray:
    """Scrambles uint64 keys without ever mapping two onto one."""
    with np.errstate(over="ignore"):
        keys = keys_N + np.uint64(_GOLDEN)
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return keys ^ (keys >> np.uint64(31))
