"""Batch arrays that are written again once nothing refers to them any more.

A fresh array costs a page fault for every 4 KB, which takes several times longer than filling it.
"""

from __future__ import annotations

import math
import sys
import threading

import numpy as np

_ALIGNMENT = 64  # at this alignment a CPU device uses the array as it is, without a copy


class BufferPool:
    """Lends aligned uint8 arrays and takes each back by itself when its last reference is gone.

    References are what CPython counts: a view, a slice, or a device array that shares the memory
    keeps its buffer out of the pool. Safe to share between threads.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._buffers: list[np.ndarray] = []
        self._lock = threading.Lock()
        probe = [np.empty(1, np.uint8)]
        self._idle_count = sys.getrefcount(probe[0])

    def take(self, shape: tuple[int, ...]) -> np.ndarray:
        """Returns a uint8 array of `shape` with any content.

        When `limit` buffers are all in use, the array is an ordinary fresh one.
        """
        size = math.prod(shape) + _ALIGNMENT
        with self._lock:
            for i in range(len(self._buffers)):
                idle = sys.getrefcount(self._buffers[i]) == self._idle_count
                if idle and self._buffers[i].size == size:
                    return _aligned(self._buffers[i], shape)
            buffer = np.empty(size, np.uint8)
            if len(self._buffers) < self._limit:
                self._buffers.append(buffer)
            return _aligned(buffer, shape)


def _aligned(buffer: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    start = -buffer.ctypes.data % _ALIGNMENT
    return buffer[start : start + math.prod(shape)].reshape(shape)
