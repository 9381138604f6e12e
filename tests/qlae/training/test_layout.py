"""Where the slots of a population lie, and who trains in them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qlae.training.layout import Layout
from qlae.training.mesh import make_mesh


def make_layout(num_members, shape=(1, 1)):
    return Layout(make_mesh(shape, jax.devices()[: shape[0] * shape[1]]), num_members)


@pytest.mark.parametrize(
    ("num_members", "rows", "living", "slots"),
    [
        (1, 1, [0], [0]),
        (3, 1, [0, 1, 2], [0, 1, 2]),
        (3, 1, [1, 2], [1, 1, 2]),
        (3, 1, [0, 2], [0, 0, 2]),
        (3, 1, [0, 1], [0, 1, 0]),
        (3, 2, [0, 1, 2], [0, 1, 2, 0]),
        (3, 2, [2], [2, 2, 2, 2]),
    ],
)
def test_a_slot_without_a_member_of_its_own_repeats_a_living_one(num_members, rows, living, slots):
    layout = make_layout(num_members, (rows, 1))
    assert layout.num_slots == len(slots)
    assert layout.assign_slots(living) == slots


def test_what_is_stacked_can_be_taken_again():
    layout = make_layout(3, (2, 2))
    trees = [{"a": np.full((2, 2), slot), "b": np.float32(slot)} for slot in range(4)]
    stacked = layout.put_stacked(trees)
    assert stacked["a"].shape == (4, 2, 2)
    assert stacked["a"].sharding == layout.members
    for slot in range(4):
        taken = layout.take_member(stacked, slot)
        assert taken["a"].is_fully_replicated
        np.testing.assert_array_equal(taken["a"], trees[slot]["a"])


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (2, 2)])
def test_each_slot_takes_its_own_step_on_the_shared_batch(shape):
    layout = make_layout(4, shape)
    step = layout.map_step(lambda state, rate, batch: (state + rate * batch["x"].shape[0], rate))
    state = layout.put_stacked([np.float32(slot) for slot in range(4)])
    rates = layout.put_stacked([np.float32(10**slot) for slot in range(4)])
    batch = {"x": jax.device_put(jnp.zeros((4, 1)), layout.batch)}
    after, metrics = jax.jit(step)(state, rates, batch)
    rows = 4 // shape[1]  # of the batch, on each device
    np.testing.assert_allclose(after, np.arange(4) + rows * 10.0 ** np.arange(4))
    np.testing.assert_allclose(metrics, 10.0 ** np.arange(4))
    seeds = layout.put_stacked([np.uint32(seed) for seed in (3, 1, 2, 0)])
    np.testing.assert_array_equal(
        jax.jit(layout.map_init(lambda seed: seed * 2))(seeds), [6, 2, 4, 0]
    )
