"""Checkpoints by Orbax: parameters apart from the rest, so that evaluation reads them alone."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
from etils import epath
from orbax.checkpoint import v1 as ocp

from qlae.common.errors import UserError
from qlae.training.state import Params, TrainState

_DIRECTORY = "checkpoints"
_COMMITTED = "commit_success.txt"  # Orbax writes it last; listing alone would miss its absence.


def list_steps(workdir: epath.PathLike) -> list[int]:
    """Returns the steps of all finalised checkpoints of a run, ascending; reads, never writes."""
    root = epath.Path(workdir) / _DIRECTORY
    if not root.exists():
        return []
    return sorted(
        int(path.name)
        for path in root.iterdir()
        if path.name.isdigit() and (path / _COMMITTED).exists()
    )


def load_params(workdir: epath.PathLike, step: int, abstract_params: Params) -> Params:
    """Reads the parameters of one step, without optimizer, onto the shardings of the target.

    Args:
        workdir: the run directory.
        step: one of `list_steps`.
        abstract_params: shapes, dtypes and shardings, built from the run's config.

    Raises:
        UserError: the checkpoint is damaged, or of another model.
    """
    path = epath.Path(workdir) / _DIRECTORY / str(step)
    return _load(path, {"params": abstract_params})["params"]


class Checkpoints:
    """The checkpoints of a run that is training: saved asynchronously, restored exactly."""

    def __init__(self, workdir: epath.PathLike):
        self._workdir = epath.Path(workdir)
        try:
            self._checkpointer = ocp.training.Checkpointer(
                self._workdir / _DIRECTORY, cleanup_tmp_directories=True
            )
        except OSError as error:
            raise UserError(f"cannot write to {workdir}: {error.strerror or error}") from error

    def save(self, step: int, state: TrainState, position: dict[str, Any]) -> None:
        """Begins to save a step; it is visible to readers only when it is whole.

        Waits for the save before it, whose failure (a full disk, say) it raises as `UserError`.

        Args:
            step: the number of steps taken.
            state: as it is after that step; may be donated as soon as this returns.
            position: JSON: where the data stands, and what the run was made with.
        """
        parts = {"params": state.params, "training": _training(state), "position": position}
        with _saving(self._workdir):
            self._checkpointer.save_checkpointables_async(step, parts, force=True, overwrite=True)

    def restore_newest(self, initial_state: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Returns what `restore` does of the newest checkpoint, or None if there is none."""
        steps = list_steps(self._workdir)
        return self.restore(initial_state, steps[-1]) if steps else None

    def restore(self, initial_state: TrainState, step: int) -> tuple[TrainState, dict[str, Any]]:
        """Returns the state after a step, and its position.

        Args:
            initial_state: the state before the first step, for shapes, dtypes and shardings.
            step: of the checkpoint, one of `list_steps`.

        Raises:
            UserError: the checkpoint is damaged, or of another model.
        """
        path = self._workdir / _DIRECTORY / str(step)
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), initial_state
        )
        target = {"params": abstract.params, "training": _training(abstract), "position": None}
        parts = _load(path, target)
        state = TrainState(params=parts["params"], **parts["training"])
        return state, parts["position"]

    def close(self) -> None:
        """Waits for the last save; raises its failure as `UserError`."""
        with _saving(self._workdir):
            self._checkpointer.close()


def _training(state: TrainState) -> dict[str, Any]:
    return {"step": state.step, "opt_state": state.opt_state, "rng": state.rng}


def _load(path: epath.Path, target: dict[str, Any]) -> dict[str, Any]:
    try:
        return ocp.load_checkpointables(path, target)
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
        raise UserError(
            f"cannot save a checkpoint to {workdir}: {_first_line(error)}; "
            "free space or fix the directory, then run the same command to resume"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
