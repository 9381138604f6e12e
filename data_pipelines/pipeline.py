"""Grain pipelines: the endless training stream and the padded passes of evaluation."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Literal

import grain
import numpy as np

from data_pipelines.buffers import BufferPool
from data_pipelines.datasets import Dataset
from data_pipelines.random_order import permutation
from data_pipelines.splits import Split
from qlae.common.errors import UserError

_IN_USE = 4  # batches that a device or a consumer may still hold
Emit = Literal["image", "index"]
Batch = dict[str, np.ndarray]


class _ShuffledBatches(grain.sources.RandomAccessDataSource):
    """The endless stream of one process, one batch per call.

    Position i of the stream is a pure function of (seed, i): epoch i // n, and within it the
    place that the epoch's shuffle gives to i % n. A global batch is the next `batch_size`
    positions; process p of P takes the p-th of P equal runs of it.
    """

    def __init__(
        self, dataset, indices, batch_size, seed, process_index, process_count, emit, pool
    ):
        self._dataset, self._indices, self._seed = dataset, indices, seed
        self._batch_size, self._emit, self._pool = batch_size, emit, pool
        self._share = batch_size // process_count
        self._offset = process_index * self._share
        # Readers may straddle two epochs.
        self._order_of = functools.lru_cache(maxsize=2)(self._make_order)

    def __len__(self) -> int:
        return sys.maxsize // max(self._batch_size, 1)

    def __getitem__(self, step) -> Batch:
        start = int(step) * self._batch_size + self._offset
        indices = self._indices_at(start + np.arange(self._share))
        if self._emit == "index":
            return {"index": indices.astype(np.int32)}
        images = self._pool.take((self._share, *self._dataset.spec.image_shape))
        return {"image": self._dataset.images(indices, out=images)}

    def _indices_at(self, positions_N: np.ndarray) -> np.ndarray:
        """Returns the grid positions at stream positions `positions_N`."""
        epochs, places = np.divmod(positions_N, len(self._indices))
        order = np.empty_like(places)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            here = epochs == epoch
            order[here] = self._order_of(epoch)[places[here]]
        return self._indices[order]

    def _make_order(self, epoch: int) -> np.ndarray:
        return permutation(len(self._indices), (self._seed, epoch))


def make_train_iterator(
    dataset: Dataset,
    split: Split,
    *,
    batch_size: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
    start_step: int = 0,
    emit: Emit = "image",
    num_threads: int = 2,
    prefetch: int = 8,
) -> grain.DatasetIterator:
    """Returns the endless iterator of this process's training batches.

    Each batch is `{"image": uint8 (b, H, W, C)}` with b = batch_size / process_count, or with
    `emit="index"` `{"index": int32 (b,)}` of grid positions, to be rendered inside the step
    by `dataset.render`. Its state is `{"next_index": batches drawn}`, whatever the number of
    processes, so a position saved by N processes restores on M.

    Args:
        dataset: the images.
        split: its `train_indices` are drawn from, reshuffled in every epoch.
        batch_size: of the global batch, over all processes.
        seed: of the order alone.
        process_index: which share of each global batch to read.
        process_count: how many shares there are.
        start_step: number of batches already drawn.
        emit: "image" or "index".
        num_threads: threads that read ahead.
        prefetch: batches read ahead; bounds the memory.

    Raises:
        UserError: the batch does not divide, or is larger than the training set.
    """
    _check_share(batch_size, process_index, process_count)
    if emit not in ("image", "index"):
        raise UserError(f"emit must be 'image' or 'index'; got {emit!r}")
    if batch_size > len(split.train_indices):
        raise UserError(
            f"batch_size {batch_size} is larger than the training set of "
            f"{len(split.train_indices)} images"
        )
    if start_step < 0:
        raise UserError(f"start_step must not be negative; got {start_step}")
    source = _ShuffledBatches(
        dataset,
        split.train_indices,
        batch_size,
        seed,
        process_index,
        process_count,
        emit,
        BufferPool(prefetch + num_threads + _IN_USE),
    )
    options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=prefetch)
    iterator = iter(grain.MapDataset.source(source).to_iter_dataset(options))
    iterator.set_state({"next_index": start_step})
    return iterator


def make_eval_batches(
    dataset: Dataset,
    indices: np.ndarray,
    *,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
    emit: Emit = "image",
) -> Iterator[Batch]:
    """Yields this process's share of each global batch over `indices`, in order.

    Batches hold `image` uint8 (b, H, W, C) (unless `emit="index"`), `index` int64 (b,) and
    `mask` bool (b,), with b = batch_size / process_count. The last is padded by repeating an
    image under a false mask, so every process yields the same number of equally shaped batches.

    Raises:
        UserError: the batch does not divide over the processes, or there is nothing to read.
    """
    share = _check_share(batch_size, process_index, process_count)
    indices = np.asarray(indices, np.int64)
    if not len(indices):
        raise UserError("there are no images to evaluate on")
    return _padded_batches(dataset, indices, batch_size, process_index * share, share, emit)


def _padded_batches(dataset, indices, batch_size, offset, share, emit) -> Iterator[Batch]:
    pool = BufferPool(_IN_USE)
    for start in range(offset, offset + len(indices), batch_size):
        places = start + np.arange(share)
        mask = places < len(indices)
        index = indices[np.minimum(places, len(indices) - 1)]
        batch = {"index": index, "mask": mask}
        if emit == "image":
            images = pool.take((share, *dataset.spec.image_shape))
            batch["image"] = dataset.images(index, out=images)
        yield batch


def _check_share(batch_size: int, process_index: int, process_count: int) -> int:
    """Returns the images of a global batch that fall to each process."""
    if not 0 <= process_index < process_count:
        raise UserError(f"process_index {process_index} is not one of {process_count} processes")
    if batch_size < 1 or batch_size % process_count:
        raise UserError(
            f"batch_size {batch_size} does not divide over {process_count} processes; "
            f"choose a multiple of {process_count}"
        )
    return batch_size // process_count
