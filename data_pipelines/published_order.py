"""The order in which TFDS hands out the records that the authors' scripts trained on."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np

# By TFDS' rule for 1.68 GiB, the size of its Shapes3D. The other datasets were prepared by the
# authors alone, so that their number is not known; it only moves which images come first.
NUM_SHARDS = 16
_CYCLE = 16
_BLOCK = 16


def find_first_records(num_images: int, count: int) -> np.ndarray:
    """Returns the grid positions of the first `count` records of a TFDS train split, sorted.

    TFDS writes records in the order of the MD5 of "train" and their key, here the grid position;
    cuts that order into shards; and reads 16 shards in turn, 16 records of each.

    Args:
        num_images: of the whole grid.
        count: how many records are taken; at most `num_images`.

    Returns:
        int64 (count,).
    """
    salt = hashlib.md5(b"train", usedforsecurity=False)
    digests = bytearray()
    for key in range(num_images):
        hashed = salt.copy()
        hashed.update(str(key).encode())
        digests += hashed.digest()
    high, low = np.frombuffer(bytes(digests), ">u8").reshape(-1, 2).T
    order = np.lexsort((low, high))
    bounds = [round(num_images * i / NUM_SHARDS) for i in range(NUM_SHARDS + 1)]
    # Where in the cycle each place of a shard comes up: by block, then shard, then place.
    place = np.concatenate([np.arange(b - a) for a, b in itertools.pairwise(bounds)])
    shard = np.repeat(np.arange(NUM_SHARDS), np.diff(bounds))
    read = np.lexsort((place, shard, place // _BLOCK, shard // _CYCLE))
    return np.sort(order[read[:count]]).astype(np.int64)
