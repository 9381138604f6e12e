"""Orbax checkpoints on `gs://`: bytes by tensorstore, the rest by etils."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from orbax.checkpoint import v1 as ocp

from qlae.common.errors import StorageError, UserError
from qlae.run_directory import delete_checkpoints, list_steps
from qlae.training.checkpoints import Checkpoints
from qlae.training.state import TrainState
from qlae.training.stored import load_params
from tests.store.faults import Faults

RUN = epath.Path("gs://bucket/run")


def make_state(step: int) -> TrainState:
    params = {"encoder": {"kernel": jnp.arange(6.0).reshape(2, 3) + step}, "bias": jnp.ones(4)}
    return TrainState(
        step=jnp.int32(step),
        params=params,
        opt_state=jax.tree.map(jnp.zeros_like, params),
        rng=jax.random.key_data(jax.random.key(step)),
    )


def make_checkpoints() -> Checkpoints:
    """Returns the checkpoints of a lone run, whose stacked state has one slot."""
    return Checkpoints({0: RUN}, lambda state, slot: jax.tree.map(lambda x: x[slot], state))


def save(*steps: int) -> None:
    checkpoints = make_checkpoints()
    for step in steps:
        stacked = jax.tree.map(lambda x: x[None], make_state(step))
        checkpoints.save(step, stacked, [0], {"data": step})
    checkpoints.close()


def assert_same(first, second) -> None:
    assert jax.tree.structure(first) == jax.tree.structure(second)
    jax.tree.map(np.testing.assert_array_equal, first, second)


def abstract_params():
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), make_state(0).params
    )


def test_the_newest_checkpoint_is_restored_exactly(store):
    assert list_steps(RUN) == []
    save(10, 20)
    assert list_steps(RUN) == [10, 20]
    checkpoints = make_checkpoints()
    assert checkpoints.list_common([0]) == [20, 10]
    state, position = checkpoints.load(20, 0, make_state(0))
    assert_same(state, make_state(20))
    assert position == {"data": 20}
    assert_same(load_params(RUN, 10, abstract_params()), make_state(10).params)


def test_a_checkpoint_is_copied_in_few_operations_and_its_marker_last(store):
    save(10)
    marker = "bucket/run/checkpoints/10/commit_success.txt"
    writes = [operation.path for operation in store.list_operations("write")]
    assert len(writes) == len(set(writes))
    assert writes[-1] == marker
    assert len(store.list_operations()) < 2 * len(writes)


def test_a_save_without_its_marker_is_no_checkpoint_and_is_made_again(store):
    save(10, 20)
    store.objects.delete("bucket", "run/checkpoints/20/commit_success.txt")
    store.objects.delete("bucket", "run/checkpoints/20/params/_METADATA")
    assert list_steps(RUN) == [10]
    save(20)
    assert list_steps(RUN) == [10, 20]
    assert_same(load_params(RUN, 20, abstract_params()), make_state(20).params)


def test_a_damaged_object_is_one_line(store):
    save(10)
    objects = store.objects.in_bucket("bucket")
    for name in [name for name in objects if "/10/params/d/" in name]:
        store.objects.put("bucket", name, objects[name].data[:50])
    with pytest.raises(UserError, match="checkpoints/10 cannot be read"):
        load_params(RUN, 10, abstract_params())


def test_a_failing_store_loses_no_checkpoint(store):
    # Named by hash, the other objects' fate would differ from run to run.
    named = r"write .*(manifest\.ocdbt|_METADATA|commit_success\.txt)$"
    store.set_faults(Faults(failing=0.1, matching=named, seed=1))
    save(10, 20)
    store.set_faults(Faults())
    assert any(operation.status == 503 for operation in store.list_operations())
    assert list_steps(RUN) == [10, 20]
    for step in (10, 20):
        assert_same(load_params(RUN, step, abstract_params()), make_state(step).params)


def test_a_damaged_one_is_kept_aside_and_made_again(store):
    save(10, 20)
    names = {name for name in store.objects.in_bucket("bucket") if "/checkpoints/20/" in name}
    checkpoints = make_checkpoints()
    assert checkpoints.set_aside(20, 0) == RUN / "damaged_20"
    assert list_steps(RUN) == checkpoints.list_common([0]) == [10]
    left = set(store.objects.in_bucket("bucket"))
    assert {name.replace("/checkpoints/", "/damaged_") for name in names} <= left
    save(20)
    assert_same(load_params(RUN, 20, abstract_params()), make_state(20).params)


def test_a_retired_one_leaves_nothing_behind(store):
    save(10, 20)
    delete_checkpoints(RUN, [10])
    assert list_steps(RUN) == [20]
    left = [name for name in store.objects.in_bucket("bucket") if not name.endswith("/")]
    assert left
    assert all("checkpoints/20/" in name for name in left)


def test_a_store_that_does_not_answer_is_no_damage(store, monkeypatch):
    save(10)
    error = ValueError("UNAVAILABLE: HTTP response code: 503")
    monkeypatch.setattr(ocp, "load_checkpointables", mock.Mock(side_effect=error))
    with pytest.raises(StorageError, match="checkpoints/10 cannot be read now: UNAVAILABLE"):
        load_params(RUN, 10, abstract_params())
