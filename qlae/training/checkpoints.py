"""Checkpoints by Orbax: each member's are those of a run of its own, in its own directory.

Parameters lie apart from the rest, so that evaluation reads them alone.
"""

import concurrent.futures
import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
from etils import epath
from orbax.checkpoint import v1 as ocp

from qlae.common.errors import StorageError
from qlae.common.files import is_remote
from qlae.run_directory import delete_checkpoints, get_checkpoint_path, list_steps
from qlae.training.staging import Staging
from qlae.training.state import TrainState
from qlae.training.stored import (
    add_digests,
    check_step,
    load_state,
    split_state,
    to_line,
)

_MOST_FAILURES = 3  # saves in a row, after which nothing is left to hope for

# Of runs (steps of all finalised checkpoints by member), the steps that may be deleted by member.
Retire = Callable[[dict[int, list[int]]], dict[int, list[int]]]


class Checkpoints:
    """The checkpoints of runs that are training: saved asynchronously, restored exactly.

    A save that fails is said on stderr, and the next one tried; after three in a row, and at the
    end, it is an error. Several processes, whose saves are one, do not try again.

    Args:
        workdirs: run directory by member.
        take_member: (stacked state, slot) -> the state of that slot's member.
        retire: which checkpoints may be deleted, asked after each save; None keeps all.
    """

    def __init__(
        self,
        workdirs: Mapping[int, epath.Path],
        take_member: Callable[[TrainState, int], TrainState],
        retire: Retire | None = None,
    ):
        self._workdirs, self._take_member, self._retire = workdirs, take_member, retire
        # One save at a time, off the training thread: a store may take seconds to begin one. With
        # several processes Orbax's exchange between them must stay on the thread that trains.
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoints")
        self._pending: concurrent.futures.Future[None] | None = None
        self._num_failures = 0
        # What is finalised when training begins is not written again: going on from an earlier
        # step, a run would only write the same bits over it.
        self._finalised = {member: set(list_steps(path)) for member, path in workdirs.items()}
        self._checkpointers: dict[int, ocp.training.Checkpointer] = {}
        self._stagings: dict[int, Staging] = {}  # of those in a store

    def save(
        self, step: int, state: TrainState, members: Sequence[int], position: dict[str, Any]
    ) -> None:
        """Begins to save a step of members; it is visible to readers only when it is whole.

        Waits for the save before it.

        Args:
            step: the number of steps taken.
            state: stacked, as it is after that step; may be donated as soon as this returns.
            members: whose state, each in the slot of its number.
            position: JSON: where the data stands, and what the run was made with.

        Raises:
            StorageError: the third save in a row could not be written.
            ValueError: the state is not of that step.
        """
        self._wait(_MOST_FAILURES)
        states = {
            member: self._take_member(state, member)
            for member in members
            if step not in self._finalised[member]
        }
        for alone in states.values():
            check_step(int(alone.step), step)
        if jax.process_count() > 1:
            self._begin(step, states, position)
            self._pending = self._thread.submit(self._delete, members)
        else:
            self._pending = self._thread.submit(self._finish, step, states, position, members)

    def list_common(self, members: Sequence[int]) -> list[int]:
        """Returns the steps that all these members have, the newest first."""
        return sorted(set.intersection(*(self._finalised[m] for m in members)), reverse=True)

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
            StorageError: the store does not answer.
        """
        return load_state(self._workdirs[member], step, abstract)

    def set_aside(self, step: int, member: int) -> epath.Path:
        """Moves a damaged checkpoint out of the way, so that it is made again; returns where to.

        Every process calls it; the first one moves.
        """
        self._finalised[member].discard(step)
        workdir = self._workdirs[member]
        ends = itertools.chain([""], (f".{count}" for count in itertools.count(1)))
        asides = (workdir / f"damaged_{step}{end}" for end in ends)
        aside = next(path for path in asides if not path.exists())
        if jax.process_index() == 0:
            get_checkpoint_path(workdir, step).rename(aside)
        return aside

    def close(self) -> None:
        """Waits for the last saves; raises `StorageError` if the last one failed."""
        try:
            self._wait(1)
        finally:
            self._thread.shutdown()
        for member in list(self._checkpointers):
            with _saving(self._workdirs[member]):
                self._close(member)

    def _wait(self, most_failures: int) -> None:
        """Waits for the save before; raises what it met if that is the last of so many failures."""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        try:
            pending.result()
            self._num_failures = 0
        except StorageError as error:
            self._num_failures += 1
            if self._num_failures >= most_failures:
                raise
            if self._num_failures == 1:
                print(f"\n{error} (the next save is tried first)", file=sys.stderr, flush=True)

    def _finish(
        self,
        step: int,
        states: Mapping[int, TrainState],
        position: dict[str, Any],
        members: Sequence[int],
    ) -> None:
        """Saves members to the end; one that fails does not keep the others from it."""
        failures: list[StorageError] = []
        self._begin(step, states, position, failures)
        for member in list(self._checkpointers):
            try:
                with _saving(self._workdirs[member]):
                    self._checkpointers[member].wait()
                    if member in self._stagings and member in states:
                        self._stagings[member].copy(step)
            except StorageError as error:
                failures.append(error)
                # Another one tidies up what this one could not finish.
                with contextlib.suppress(Exception):
                    self._close(member)
        if failures:
            raise failures[0]
        self._delete(members)

    def _begin(
        self,
        step: int,
        states: Mapping[int, TrainState],
        position: dict[str, Any],
        failures: list[StorageError] | None = None,
    ) -> None:
        for member, state in states.items():
            parts = split_state(state)
            try:
                with _saving(self._workdirs[member]):
                    self._open(member).save_checkpointables_async(
                        step,
                        {**parts, "position": add_digests(parts, position)},
                        force=True,
                        overwrite=True,
                    )
            except StorageError as error:
                if failures is None:
                    raise
                failures.append(error)

    def _delete(self, members: Sequence[int]) -> None:
        """Deletes what need not be kept; what a store refuses is tried again at the next save."""
        if self._retire is None or jax.process_index() > 0:
            return
        with contextlib.suppress(Exception):
            steps = {member: list_steps(self._workdirs[member]) for member in members}
            for member, retired in self._retire(steps).items():
                delete_checkpoints(self._workdirs[member], retired)

    def _open(self, member: int) -> ocp.training.Checkpointer:
        """Returns the member's checkpointer, which tidies up what a killed save left behind."""
        if member not in self._checkpointers:
            path = get_checkpoint_path(self._workdirs[member])
            if is_remote(path) and jax.process_count() == 1:
                self._stagings[member] = Staging(self._workdirs[member])
                path = self._stagings[member].path
            # Without names of their own, the barriers of two members' saves would meet each other.
            options = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=f"member_{member}")
            self._checkpointers[member] = ocp.training.Checkpointer(
                path,
                cleanup_tmp_directories=True,
                context=ocp.Context(multiprocessing_options=options),
            )
        return self._checkpointers[member]

    def _close(self, member: int) -> None:
        """Closes a member's checkpointer, and deletes what was staged."""
        if staging := self._stagings.pop(member, None):
            staging.close()
        self._checkpointers.pop(member).close()


@contextlib.contextmanager
def _saving(workdir: epath.Path) -> Iterator[None]:
    """Turns whatever a save raises into one line."""
    try:
        yield
    except Exception as error:  # as above
        raise StorageError(
            f"cannot save a checkpoint to {workdir}: {to_line(error)}; "
            "free space or fix the directory, then run the same command to resume"
        ) from error
