"""A checkpoint holds the step that it is named after, for every member."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qlae.common.errors import StorageError, UserError
from qlae.run_directory import list_steps
from qlae.training.checkpoints import Checkpoints, load_params
from qlae.training.state import TrainState

POSITION = {"data": {"next_index": 1}}


def make_state(steps):
    """A stacked state, each slot at a step of its own."""
    steps = jnp.asarray(steps, jnp.int32)
    return TrainState(
        step=steps,
        params={"w": steps[:, None] * jnp.ones((1, 3)) + jnp.arange(len(steps))[:, None] / 10},
        opt_state={"player": steps * 2},
        rng=jnp.ones((len(steps), 2), jnp.uint32),
    )


def take(state, slot):
    return jax.tree.map(lambda leaf: leaf[slot], state)


def make_checkpoints(root, members=(0, 1, 2)):
    return Checkpoints({member: root / f"seed_{member}" for member in members}, take)


ABSTRACT = jax.eval_shape(lambda: take(make_state([0, 0, 0]), 0))


def test_each_member_is_saved_where_a_lone_run_would_be(tmp_path):
    checkpoints = make_checkpoints(tmp_path)
    checkpoints.save(5, make_state([5, 5, 5]), [0, 2], {"data": {"next_index": 5}})
    checkpoints.save(10, make_state([10, 10, 10]), [2], {"data": {"next_index": 10}})
    checkpoints.close()
    assert [list_steps(tmp_path / f"seed_{member}") for member in range(3)] == [[5], [], [5, 10]]
    state, position = make_checkpoints(tmp_path).load(10, 2, ABSTRACT)
    assert position["data"] == {"next_index": 10}
    assert int(state.step) == 10
    assert isinstance(state.params["w"], np.ndarray)
    np.testing.assert_allclose(state.params["w"], 10.2)
    params = load_params(tmp_path / "seed_0", 5, ABSTRACT.params)
    np.testing.assert_allclose(params["w"], 5.0)


def test_the_newest_step_is_the_newest_that_all_have(tmp_path):
    first = make_checkpoints(tmp_path)
    for step, members in ((1, [0, 1, 2]), (2, [0, 1, 2]), (3, [0, 2])):
        first.save(step, make_state([step] * 3), members, POSITION)
    first.close()
    again = make_checkpoints(tmp_path)
    assert again.find_newest([0, 1, 2]) == 2
    assert again.find_newest([0, 2]) == 3
    assert make_checkpoints(tmp_path / "none").find_newest([0, 1]) is None


def test_a_state_of_another_step_is_neither_saved_nor_restored(tmp_path):
    checkpoints = make_checkpoints(tmp_path)
    with pytest.raises(ValueError, match="the checkpoint of step 5 holds the state of step 4"):
        checkpoints.save(5, make_state([4, 4, 4]), [0], POSITION)
    checkpoints.save(4, make_state([4, 4, 4]), [0], POSITION)
    checkpoints.close()
    (tmp_path / "seed_0/checkpoints/4").rename(tmp_path / "seed_0/checkpoints/7")
    with pytest.raises(UserError, match="7: the checkpoint of step 7 holds the state of step 4"):
        make_checkpoints(tmp_path).load(7, 0, ABSTRACT)


def test_what_is_finalised_is_not_written_again(tmp_path):
    times = []
    for _ in range(2):
        checkpoints = make_checkpoints(tmp_path, [0])
        checkpoints.save(1, make_state([1]), [0], POSITION)
        checkpoints.close()
        written = (tmp_path / "seed_0/checkpoints/1").rglob("*")
        times.append({path: path.stat().st_mtime_ns for path in written})
    assert times[0] == times[1]


def test_a_directory_that_cannot_be_written_is_worth_another_try(tmp_path):
    (tmp_path / "seed_0").write_text("a file in its place")
    checkpoints = make_checkpoints(tmp_path, [0])
    checkpoints.save(1, make_state([1]), [0], POSITION)
    with pytest.raises(StorageError, match=r"cannot save a checkpoint to .*seed_0"):
        checkpoints.close()


def test_only_a_number_with_a_marker_is_a_checkpoint(tmp_path):
    for name in ("10", "²", "007x", "20"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    for name in ("10", "²", "007x"):
        (tmp_path / "checkpoints" / name / "commit_success.txt").write_text("")
    assert list_steps(tmp_path) == [10]
