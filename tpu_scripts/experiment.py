"""All that this room takes of `experiments`: configs, tables of runs, the step of a config."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from experiments import config_file
from experiments.config_check import check_config
from experiments.members import RunDirectory, make_members
from experiments.step_check import make_abstract_arguments
from experiments.sweeps import load_table
from experiments.trainer import choose_config_mesh, make_trainer
from qlae.common.errors import UserError, make_unknown_name_error
from tpu_scripts.topologies import Topology

__all__ = ["Step", "check_batch", "load_config", "load_table", "make_step"]

_CONFIGS = "experiments/configs"


class Step(NamedTuple):
    """The jitted step of a config on a mesh.

    Attributes:
        function: jitted.
        arguments: abstract, the training state first.
        num_members: runs in the program; more than one for a population.
        num_population: devices along the mesh's `population`.
    """

    function: Any
    arguments: tuple
    num_members: int
    num_population: int


def load_config(root: pathlib.Path, config: str, overrides: tuple[str, ...]) -> ConfigDict:
    """Reads `file.py:argument` with its overrides just as the trainer will.

    Args:
      root: the source directory; `config` is relative to it.
      overrides: `--config.KEY=VALUE` each.

    Raises:
      UserError: no such file, an argument (dataset) or key it does not know, a value of a wrong
        type.
    """
    path, _, _ = config.partition(":")
    if pathlib.PurePath(path).is_absolute() or ".." in pathlib.PurePath(path).parts:
        raise UserError(f"--config={config!r} must be relative to the source directory {root}")
    if not (root / path).is_file():
        known = sorted(f"{_CONFIGS}/{file.name}" for file in (root / _CONFIGS).glob("[!_]*.py"))
        raise make_unknown_name_error("config file", path, known)
    try:
        loaded = config_file.load_config(str(root / config), overrides)
    except Exception as error:  # Whatever a config file raises is a mistake in it or for it.
        line = " ".join(str(error).split())
        raise UserError(f"--config={config} does not load: {line}") from error
    check_config(loaded)
    return loaded


def check_batch(config: ConfigDict, topology: Topology, slices: int) -> None:
    """Raises `UserError` when mesh and global batch do not divide over the devices."""
    try:
        choose_config_mesh(config, topology.chips * slices, count_members(config))
    except UserError as error:
        where = f"{slices} x {topology.name}" if slices > 1 else topology.name
        raise UserError(f"{where}: {error}") from error


def make_step(config: ConfigDict, devices: Sequence[jax.Device]) -> Step:
    """Makes the step that `experiments.train` would run on these devices.

    Raises:
        UserError: the config does not go with the devices.
    """
    num_members = count_members(config)
    trainer = make_trainer(config, num_members, devices)
    arguments = make_abstract_arguments(trainer)
    return Step(trainer.step, arguments, num_members, trainer.layout.mesh.shape["population"])


def count_members(config: ConfigDict) -> int:
    """Returns how many runs a config stands for; a `UserError` for a population that cannot be."""
    return len(make_members(config, RunDirectory("unused")))
