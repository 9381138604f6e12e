"""A damaged checkpoint is named and kept aside, and training goes on from the one before it."""

import shutil

import jax
import numpy as np
import pytest

from qlae.restore import open_run
from qlae.run_directory import list_steps
from tests import runs

pytestmark = pytest.mark.process

SHORT = ("--config.num_steps=6", "--config.checkpoint_every=2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "run"
    assert runs.train(workdir, *SHORT)[0] == 0
    return workdir


@pytest.fixture
def interrupted(finished, tmp_path):
    """A copy that lacks its last checkpoint."""
    shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints/6")
    return tmp_path / "run"


def list_arrays(checkpoint):
    """The files that hold the parameters' numbers."""
    return sorted(file for file in (checkpoint / "params").rglob("d/*") if file.is_file())


def damage(checkpoint, how):
    for file in list_arrays(checkpoint):
        data = bytearray(file.read_bytes())
        if how == "truncated":
            data = data[: len(data) // 2]
        else:
            data[len(data) // 2] ^= 1
        file.write_bytes(bytes(data))


@pytest.mark.parametrize("how", ["truncated", "one bit flipped"])
def test_the_newest_good_one_is_used(finished, interrupted, how):
    newest = interrupted / "checkpoints/4"
    damage(newest, how)
    damaged = [file.read_bytes() for file in list_arrays(newest)]
    code, _, errors = runs.train(interrupted, *SHORT)
    assert code == 0, errors
    assert f"the checkpoint {newest} cannot be read (damaged" in errors
    assert f"kept aside as {interrupted}/damaged_4" in errors
    assert "from step 2" in errors
    aside = interrupted / "damaged_4"
    assert [file.read_bytes() for file in list_arrays(aside)] == damaged
    assert list_steps(interrupted) == [2, 4, 6]
    for step in (4, 6):
        params = [jax.device_get(open_run(path).load(step)) for path in (finished, interrupted)]
        jax.tree.map(np.testing.assert_array_equal, *params)


def test_where_none_can_be_read_all_are_left_as_they_are(interrupted):
    for step in (2, 4):
        damage(interrupted / "checkpoints" / str(step), "truncated")
    code, _, errors = runs.train(interrupted, *SHORT)
    assert code == 2
    assert f"error: the checkpoint {interrupted}/checkpoints/4 cannot be read" in errors
    assert list_steps(interrupted) == [2, 4]
    assert not list(interrupted.glob("damaged*"))
