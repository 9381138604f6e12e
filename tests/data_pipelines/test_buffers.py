"""Buffers are lent again only when nothing can see them any more."""

import jax
import numpy as np

from data_pipelines.buffers import BufferPool

SHAPE = (4, 8, 8, 3)


def address(array):
    return array.ctypes.data


def test_a_buffer_comes_back_when_its_last_reference_is_gone():
    pool = BufferPool(limit=2)
    first = pool.take(SHAPE)
    place = address(first)
    assert first.shape == SHAPE
    assert first.dtype == np.uint8
    assert place % 64 == 0
    second = pool.take(SHAPE)
    assert address(second) != place
    del first
    assert address(pool.take(SHAPE)) == place


def test_views_and_slices_keep_it_away():
    pool = BufferPool(limit=1)
    batch = pool.take(SHAPE)
    place = address(batch)
    piece = batch[1:].reshape(-1)[::2]
    del batch
    other = pool.take(SHAPE)
    assert address(other) != place
    del piece
    assert address(pool.take(SHAPE)) == place


def test_a_device_array_that_shares_the_memory_keeps_it_away():
    pool = BufferPool(limit=3)
    on_device = []
    for value in range(20):
        batch = pool.take(SHAPE)
        batch[:] = value
        on_device.append(jax.device_put(batch))
        del batch
    for value, array in enumerate(on_device):
        assert (np.asarray(array) == value).all()


def test_shards_on_many_devices_keep_it_away():
    mesh = jax.make_mesh((len(jax.devices()),), ("data",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    pool = BufferPool(limit=3)
    kept = []
    for value in range(20):
        batch = pool.take((8 * len(jax.devices()), 16, 16, 1))
        batch[:] = value
        kept.append(jax.make_array_from_process_local_data(sharding, batch))
        del batch
    for value, array in enumerate(kept):
        assert (np.asarray(array) == value).all()


def test_beyond_its_limit_it_lends_fresh_arrays():
    pool = BufferPool(limit=2)
    held = [pool.take(SHAPE) for _ in range(5)]
    assert len({address(array) for array in held}) == 5
    assert len(pool._buffers) == 2


def test_other_shapes_do_not_meet():
    pool = BufferPool(limit=2)
    small = address(pool.take((2, 2)))
    large = pool.take((64, 64))
    assert large.shape == (64, 64)
    assert address(pool.take((2, 2))) == small
