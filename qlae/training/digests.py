"""A checksum of every array, by its path: what tells a damaged checkpoint from a whole one.

The array files of a checkpoint carry none of their own, and a bit that flips there is read as a
number like any other.
"""

import zlib
from typing import Any

import jax
import numpy as np


def name_arrays(tree: Any) -> dict[str, Any]:
    """Returns the arrays of a tree by their paths, such as `encoder.0.kernel`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {".".join(map(_name, path)): leaf for path, leaf in leaves}


def compute_digests(tree: Any) -> dict[str, int]:
    """Returns CRC-32 of dtype, shape and bytes of each array, by path; waits for them."""
    return {name: _digest(np.asarray(leaf)) for name, leaf in name_arrays(tree).items()}


def _digest(array: np.ndarray) -> int:
    start = zlib.crc32(f"{array.dtype.name}{array.shape}".encode())
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, start)


def _name(key: Any) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
