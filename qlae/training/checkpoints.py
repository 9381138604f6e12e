"""Checkpoints by Orbax: each member's are those of a run of its own, in its own directory.

Parameters lie apart from the rest, so that evaluation reads them alone.
"""

import concurrent.futures
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath
from orbax.checkpoint import v1 as ocp

from qlae.common.errors import StorageError, UserError
from qlae.run_directory import get_checkpoint_path, list_steps
from qlae.training.state import Params, TrainState


def load_params(workdir: epath.PathLike, step: int, abstract_params: Params) -> Params:
    """Reads the parameters of one step, without optimizer.

    Args:
        workdir: the run directory.
        step: one of `list_steps`.
        abstract_params: shapes, dtypes and, where they are to be device arrays, shardings; built
            from the run's config.

    Raises:
        UserError: the checkpoint is damaged, or of another model.
    """
    return _load(get_checkpoint_path(workdir, step), {"params": abstract_params})["params"]


def find_differences(workdir: epath.PathLike, step: int, abstract_params: Params) -> list[str]:
    """Compares the parameters of a checkpoint with those expected, reading no array.

    Returns:
        One entry for each parameter whose path, shape or dtype differs.

    Raises:
        UserError: the checkpoint is damaged.
    """
    path = get_checkpoint_path(workdir, step)
    with _reading(path):
        stored = ocp.checkpointables_metadata(path).metadata["params"]
    found, expected = _describe(stored), _describe(abstract_params)
    if not found:
        raise UserError(
            f"the checkpoint {path} cannot be read (damaged: it names no parameters); move it away "
            "to go on from the checkpoint before it"
        )
    return [
        f"{name} is {found.get(name, 'missing')}, expected {expected.get(name, 'nothing')}"
        for name in sorted(found | expected)
        if found.get(name) != expected.get(name)
    ]


def _describe(tree: Any) -> dict[str, str]:
    """Returns shape and dtype of each array by its path."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        ".".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in path): (
            f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}"
        )
        for path, leaf in leaves
    }


class Checkpoints:
    """The checkpoints of runs that are training: saved asynchronously, restored exactly.

    Args:
        workdirs: run directory by member.
        take_member: (stacked state, slot) -> the state of that slot's member.
    """

    def __init__(
        self,
        workdirs: Mapping[int, epath.Path],
        take_member: Callable[[TrainState, int], TrainState],
    ):
        self._workdirs, self._take_member = workdirs, take_member
        # One save at a time, off the training thread: a store may take seconds to begin one. With
        # several processes Orbax's exchange between them must stay on the thread that trains.
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoints")
        self._pending: concurrent.futures.Future[None] | None = None
        # What is finalised when training begins is not written again: going on from an earlier
        # step, a run would only write the same bits over it.
        self._finalised = {member: set(list_steps(path)) for member, path in workdirs.items()}
        self._checkpointers: dict[int, ocp.training.Checkpointer] = {}

    def save(
        self, step: int, state: TrainState, members: Sequence[int], position: dict[str, Any]
    ) -> None:
        """Begins to save a step of members; it is visible to readers only when it is whole.

        Waits for the save before it, whose failure (a full disk, say) it raises.

        Args:
            step: the number of steps taken.
            state: stacked, as it is after that step; may be donated as soon as this returns.
            members: whose state, each in the slot of its number.
            position: JSON: where the data stands, and what the run was made with.

        Raises:
            StorageError: the save before could not be written.
            ValueError: the state is not of that step.
        """
        self._wait()
        states = {
            member: self._take_member(state, member)
            for member in members
            if step not in self._finalised[member]
        }
        for alone in states.values():
            _check_step(int(alone.step), step)
        if jax.process_count() > 1:
            self._begin(step, states, position)
        else:
            self._pending = self._thread.submit(self._begin, step, states, position)

    def find_newest(self, members: Sequence[int]) -> int | None:
        """Returns the newest step that all these members have, or None if there is none."""
        common = set.intersection(*(self._finalised[member] for member in members))
        return max(common, default=None)

    def load(
        self, step: int, member: int, abstract: TrainState
    ) -> tuple[TrainState, dict[str, Any]]:
        """Returns a member's state after a step, in host memory, and its position.

        Args:
            step: of the checkpoint.
            member: whose.
            abstract: shapes and dtypes of the state of one member.

        Raises:
            UserError: the checkpoint is damaged, of another model, or of another step than its
                name says.
        """
        path = get_checkpoint_path(self._workdirs[member], step)
        target = jax.tree.map(_on_host, abstract)
        parts = _load(
            path, {"params": target.params, "training": _training(target), "position": None}
        )
        state = TrainState(params=parts["params"], **parts["training"])
        try:
            _check_step(int(state.step), step)
        except ValueError as error:
            raise UserError(f"{path}: {error}; move it away to go on from another") from error
        return state, parts["position"]

    def close(self) -> None:
        """Waits for the last saves; raises `StorageError` if one failed."""
        self._wait()
        self._thread.shutdown()
        for member, checkpointer in self._checkpointers.items():
            with _saving(self._workdirs[member]):
                checkpointer.close()
        self._checkpointers.clear()

    def _begin(self, step: int, states: Mapping[int, TrainState], position: dict[str, Any]) -> None:
        for member, state in states.items():
            parts = {"params": state.params, "training": _training(state), "position": position}
            with _saving(self._workdirs[member]):
                self._open(member).save_checkpointables_async(
                    step, parts, force=True, overwrite=True
                )

    def _wait(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def _open(self, member: int) -> ocp.training.Checkpointer:
        """Returns the member's checkpointer, which tidies up what a killed save left behind."""
        if member not in self._checkpointers:
            # Without names of their own, the barriers of two members' saves would meet each other.
            options = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=f"member_{member}")
            self._checkpointers[member] = ocp.training.Checkpointer(
                get_checkpoint_path(self._workdirs[member]),
                cleanup_tmp_directories=True,
                context=ocp.Context(multiprocessing_options=options),
            )
        return self._checkpointers[member]


def _training(state: TrainState) -> dict[str, Any]:
    return {"step": state.step, "opt_state": state.opt_state, "rng": state.rng}


def _on_host(leaf: Any) -> np.ndarray:
    """Returns what Orbax takes for the shape and dtype of an array in host memory."""
    return np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)


def _check_step(held: int, named: int) -> None:
    if held != named:
        raise ValueError(f"the checkpoint of step {named:,} holds the state of step {held:,}")


def _load(path: epath.Path, target: dict[str, Any]) -> dict[str, Any]:
    with _reading(path):
        return ocp.load_checkpointables(path, target)


@contextlib.contextmanager
def _reading(path: epath.Path) -> Iterator[None]:
    """Turns whatever a read raises into one line."""
    try:
        yield
    except Exception as error:  # Orbax raises a dozen types for one truth: it cannot be read.
        raise UserError(
            f"the checkpoint {path} cannot be read (damaged, or not of this config): "
            f"{_first_line(error)}; "
            "move it away to go on from the checkpoint before it"
        ) from error


@contextlib.contextmanager
def _saving(workdir: epath.Path) -> Iterator[None]:
    """Turns whatever a save raises into one line."""
    try:
        yield
    except Exception as error:  # as above
        raise StorageError(
            f"cannot save a checkpoint to {workdir}: {_first_line(error)}; "
            "free space or fix the directory, then run the same command to resume"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
