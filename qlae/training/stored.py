"""One checkpoint as it is stored: read whole, or named as damaged in one line."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from etils import epath
from orbax.checkpoint import v1 as ocp

from qlae.common.errors import StorageError, UserError, explain
from qlae.common.files import is_remote
from qlae.run_directory import get_checkpoint_path
from qlae.training.digests import compute_digests, name_arrays
from qlae.training.state import Params, TrainState

_DIGESTS = "digests"  # of a checkpoint's position: by part, by array
# What tensorstore says of a store that does not answer, which is no word on the checkpoint.
_UNAVAILABLE = re.compile(r"UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|RESOURCE_EXHAUSTED|timed out")


def load_params(workdir: epath.PathLike, step: int, abstract_params: Params) -> Params:
    """Reads the parameters of one step, without optimizer.

    Args:
        workdir: the run directory.
        step: one of `list_steps`.
        abstract_params: shapes, dtypes and, where they are to be device arrays, shardings; built
            from the run's config.

    Raises:
        UserError: the checkpoint is damaged, or of another model.
        StorageError: the store does not answer.
    """
    path = get_checkpoint_path(workdir, step)
    # A shipped run has parameters alone.
    position = {"position": None} if (path / "position").exists() else {}
    return load_parts(path, {"params": abstract_params, **position})["params"]


def load_state(
    workdir: epath.PathLike, step: int, abstract: TrainState
) -> tuple[TrainState, dict[str, Any]]:
    """Reads a run's whole state after a step, into host memory, and its position.

    Args:
        workdir: the run directory.
        step: one of `list_steps`.
        abstract: shapes and dtypes of the state.

    Raises:
        UserError: the checkpoint is damaged, of another model, or of another step than its name
            says.
        StorageError: the store does not answer.
    """
    path = get_checkpoint_path(workdir, step)
    parts = load_parts(path, {**split_state(jax.tree.map(_on_host, abstract)), "position": None})
    state = TrainState(params=parts["params"], **parts["training"])
    try:
        check_step(int(state.step), step)
    except ValueError as error:
        raise UserError(f"{path}: {error}; move it away to go on from another") from error
    return state, parts["position"]


def split_state(state: TrainState) -> dict[str, Any]:
    """Returns a state as the parts of a checkpoint: evaluation reads the parameters alone."""
    training = {"step": state.step, "opt_state": state.opt_state, "rng": state.rng}
    return {"params": state.params, "training": training}


def check_step(held: int, named: int) -> None:
    """Raises `ValueError` if a state is not of the step that its checkpoint is named after."""
    if held != named:
        raise ValueError(f"the checkpoint of step {named:,} holds the state of step {held:,}")


def _on_host(leaf: Any) -> np.ndarray:
    """Returns what Orbax takes for the shape and dtype of an array in host memory."""
    return np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)


def load_parts(path: epath.Path, target: Mapping[str, Any]) -> dict[str, Any]:
    """Reads parts of a checkpoint, and checks their arrays if the position is among them.

    Args:
        path: of the checkpoint.
        target: by part its shapes and dtypes, None for JSON.

    Raises:
        UserError: the checkpoint is damaged, or of another model.
        StorageError: the store does not answer.
    """
    with _reading(path):
        parts = ocp.load_checkpointables(path, dict(target))
    digests = (parts.get("position") or {}).pop(_DIGESTS, {})  # older checkpoints have none
    for part in target.keys() & digests.keys():
        found = compute_digests(parts[part])
        wrong = sorted(name for name in found if found[name] != digests[part].get(name))
        if wrong:
            raise _make_unreadable(path, f"{part}.{wrong[0]} is not what was saved")
    return parts


def add_digests(parts: Mapping[str, Any], position: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the position with the digests of the other parts; waits for their arrays."""
    return {**position, _DIGESTS: {name: compute_digests(tree) for name, tree in parts.items()}}


def find_differences(workdir: epath.PathLike, step: int, abstract_params: Params) -> list[str]:
    """Compares the parameters of a checkpoint with those expected, reading no array.

    Returns:
        One entry for each parameter whose path, shape or dtype differs.

    Raises:
        UserError: the checkpoint is damaged.
        StorageError: the store does not answer.
    """
    path = get_checkpoint_path(workdir, step)
    with _reading(path):
        stored = ocp.checkpointables_metadata(path).metadata["params"]
    found, expected = describe_arrays(stored), describe_arrays(abstract_params)
    if not found:
        raise _make_unreadable(path, "it names no parameters")
    return [
        f"{name} is {found.get(name, 'missing')}, expected {expected.get(name, 'nothing')}"
        for name in sorted(found | expected)
        if found.get(name) != expected.get(name)
    ]


def describe_arrays(tree: Any) -> dict[str, str]:
    """Returns shape and dtype of each array by its path."""
    return {
        name: f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}"
        for name, leaf in name_arrays(tree).items()
    }


@contextlib.contextmanager
def _reading(path: epath.Path) -> Iterator[None]:
    """Turns whatever a read raises into one line."""
    try:
        yield
    except Exception as error:  # Orbax raises a dozen types for one truth: it cannot be read.
        line = to_line(error)
        if is_remote(path) and (
            _UNAVAILABLE.search(str(error)) or isinstance(explain(error), StorageError)
        ):
            raise StorageError(f"{path} cannot be read now: {line}") from error
        raise _make_unreadable(path, line) from error


def _make_unreadable(path: epath.Path, why: str) -> UserError:
    return UserError(
        f"the checkpoint {path} cannot be read (damaged, or not of this config): {why}; "
        "move it away to go on from the checkpoint before it"
    )


def to_line(error: Exception) -> str:
    """Returns the first line of an error, at most 200 characters of it."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
