"""A run as its directory tells it: its model, and the parameters of any checkpoint.

    run = restore("runs/quickstart")
    images = run.decode(run.encode(images))

The directory is enough, local or `gs://`: no dataset, and none of the packages that read one.
"""

from dataclasses import dataclass
from typing import Any

import jax
from etils import epath
from ml_collections import ConfigDict

from qlae.common.errors import UserError
from qlae.dataset_facts import DatasetFacts
from qlae.program import Program, make_program
from qlae.restored_model import RestoredModel
from qlae.run_directory import RunDirectory, list_steps
from qlae.training.state import Params, TrainState
from qlae.training.stored import find_differences, load_params, load_state


@dataclass(frozen=True)
class StoredRun:
    """Everything of a run but its arrays, which `load` reads a step at a time."""

    directory: RunDirectory
    config: ConfigDict
    facts: DatasetFacts
    program: Program

    def load(
        self, step: int | None = None, sharding: jax.sharding.Sharding | None = None
    ) -> Params:
        """Reads the parameters of a checkpoint, whatever devices saved it.

        Args:
            step: one of `qlae.run_directory.list_steps`; None takes the newest.
            sharding: where every array goes; None takes the first device.

        Raises:
            UserError: there is no such checkpoint, or it is damaged; or it holds other parameters
                than the config makes, of which path, shape and dtype are listed.
        """
        step = self.find_step(step)
        differences = find_differences(self.directory.path, step, self.program.abstract_params)
        if differences:
            raise UserError(
                f"the checkpoint of step {step:,} in {self.directory.path} is not of its config "
                f"(was it made by a newer version?): {'; '.join(differences)}"
            )
        sharding = sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
            self.program.abstract_params,
        )
        return load_params(self.directory.path, step, abstract)

    def load_state(self, step: int) -> tuple[TrainState, dict[str, Any]]:
        """Reads all that training goes on from, into host memory, and the position in the data.

        Raises:
            UserError: the checkpoint is damaged, or not of the run's config.
        """
        return load_state(self.directory.path, step, self.program.abstract_state)

    def find_step(self, step: int | None = None) -> int:
        """Returns the newest checkpoint's step, or the given one.

        Raises:
            UserError: there is no such checkpoint.
        """
        steps = list_steps(self.directory.path)
        if not steps:
            raise UserError(f"{self.directory.path} has no checkpoint yet")
        if step is not None and step not in steps:
            known = ", ".join(f"{known:,}" for known in steps)
            raise UserError(f"{self.directory.path} has no checkpoint of step {step:,}: {known}")
        return steps[-1] if step is None else step


def restore(workdir: epath.PathLike, step: int | None = None) -> RestoredModel:
    """Restores the model of a run, ready to encode and decode, on the first device that is here.

    Args:
        workdir: the run directory, local or `gs://`.
        step: of a checkpoint; None takes the newest.

    Raises:
        UserError: no run, no such checkpoint, or one that is damaged or not of the run's config.
    """
    run = open_run(workdir)
    step = run.find_step(step)
    return RestoredModel(run.program.merge(run.load(step)), run.directory, run.facts, step)


def open_run(workdir: epath.PathLike) -> StoredRun:
    """Opens a run directory; its dataset need not be here.

    Args:
        workdir: where the run trains, trained, or is about to; local or `gs://`.

    Raises:
        UserError: there is no run.
    """
    directory = RunDirectory(workdir)
    config, facts = directory.load_config(), directory.load_facts()
    return StoredRun(directory, config, facts, make_program(config, facts))
