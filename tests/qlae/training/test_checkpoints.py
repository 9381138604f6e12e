"""A checkpoint holds the step that it is named after, for every member."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from qlae.common.errors import StorageError, UserError
from qlae.run_directory import list_steps
from qlae.training.checkpoints import Checkpoints
from qlae.training.state import TrainState
from qlae.training.stored import load_params

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
    assert again.list_common([0, 1, 2]) == [2, 1]
    assert again.list_common([0, 2]) == [3, 2, 1]
    assert make_checkpoints(tmp_path / "none").list_common([0, 1]) == []


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


def flip(path, index):
    """Flips one bit of a file."""
    data = bytearray(path.read_bytes())
    data[index // 8] ^= 1 << index % 8
    path.write_bytes(bytes(data))


@pytest.mark.heavy
def test_a_bit_that_flips_anywhere_is_found_or_changes_nothing(tmp_path):
    rng = np.random.default_rng(0)
    state = make_state([5])
    state = state.replace(params={"w": jnp.asarray(rng.normal(size=(1, 30, 20)), jnp.float32)})
    abstract = jax.eval_shape(lambda: take(state, 0))
    checkpoints = make_checkpoints(tmp_path, [0])
    checkpoints.save(5, state, [0], POSITION)
    checkpoints.close()
    found = 0
    for file in sorted((tmp_path / "seed_0/checkpoints/5").rglob("*")):
        size = file.stat().st_size if file.is_file() else 0
        for index in rng.integers(size * 8, size=6 if size else 0).tolist():
            flip(file, index)
            try:
                loaded, position = make_checkpoints(tmp_path, [0]).load(5, 0, abstract)
            except UserError:
                found += 1
            else:
                assert position == POSITION
                jax.tree.map(np.testing.assert_array_equal, loaded, take(state, 0))
            flip(file, index)
    assert found > 20
    for part in ("params", "training"):
        files = (tmp_path / f"seed_0/checkpoints/5/{part}").rglob("*")
        flip(max((file for file in files if file.is_file()), key=lambda f: f.stat().st_size), 999)
        with pytest.raises(UserError, match="cannot be read"):
            make_checkpoints(tmp_path, [0]).load(5, 0, abstract)
    with pytest.raises(UserError, match=r"params\.w is not what was saved"):
        load_params(tmp_path / "seed_0", 5, abstract.params)


@pytest.fixture
def failing(monkeypatch):
    """The (member, step) of the saves that a full disk fails."""
    pairs: set = set()
    save = ocp.training.Checkpointer.save_checkpointables_async

    def save_or_fail(self, step, *args, **kwargs):
        if (self.directory.parent.name, step) in pairs:
            raise OSError(28, "No space left on device")
        return save(self, step, *args, **kwargs)

    monkeypatch.setattr(ocp.training.Checkpointer, "save_checkpointables_async", save_or_fail)
    return pairs


def test_the_save_after_one_that_failed_is_tried_and_said_once(tmp_path, failing, capsys):
    failing |= {("seed_0", 2), ("seed_0", 3)}
    checkpoints = make_checkpoints(tmp_path, [0, 1])
    for step in (1, 2, 3, 4, 5):
        checkpoints.save(step, make_state([step] * 2), [0, 1], POSITION)
    checkpoints.close()
    assert list_steps(tmp_path / "seed_0") == [1, 4, 5]
    assert list_steps(tmp_path / "seed_1") == [1, 2, 3, 4, 5]  # which failed in nothing
    lines = capsys.readouterr().err.split("\n")
    assert len([line for line in lines if "cannot save a checkpoint" in line]) == 1
    assert "No space left on device" in lines[1]
    state, _ = make_checkpoints(tmp_path).load(4, 0, ABSTRACT)
    assert int(state.step) == 4


def test_three_that_fail_in_a_row_end_it(tmp_path, failing):
    failing |= {("seed_0", step) for step in (2, 3, 4)}
    checkpoints = make_checkpoints(tmp_path, [0])
    for step in (1, 2, 3, 4):
        checkpoints.save(step, make_state([step]), [0], POSITION)
    with pytest.raises(StorageError, match=r"cannot save a checkpoint to .*seed_0.*No space left"):
        checkpoints.save(5, make_state([5]), [0], POSITION)
    checkpoints.close()
    assert list_steps(tmp_path / "seed_0") == [1]


def test_a_damaged_one_is_kept_aside_and_made_again(tmp_path):
    for name in ("damaged_5", "damaged_5.1"):
        checkpoints = make_checkpoints(tmp_path, [0])
        checkpoints.save(5, make_state([5]), [0], POSITION)
        checkpoints.close()
        checkpoints = make_checkpoints(tmp_path, [0])
        assert checkpoints.set_aside(5, 0) == tmp_path / "seed_0" / name
        assert checkpoints.list_common([0]) == list_steps(tmp_path / "seed_0") == []
        assert (tmp_path / "seed_0" / name / "params").is_dir()


def test_what_may_go_goes_after_a_save(tmp_path):
    asked = []

    def retire(finalised):
        asked.append(finalised)
        return {member: steps[:-2] for member, steps in finalised.items()}

    checkpoints = Checkpoints({0: tmp_path}, take, retire)
    for step in (1, 2, 3, 4):
        checkpoints.save(step, make_state([step]), [0], POSITION)
    checkpoints.close()
    assert list_steps(tmp_path) == [3, 4]
    assert asked == [{0: [1]}, {0: [1, 2]}, {0: [1, 2, 3]}, {0: [2, 3, 4]}]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["3", "4"]
