"""A run as evaluation sees it, from its directory alone: config, data, program, checkpoints."""

import functools
from dataclasses import dataclass

from etils import epath
from flax import nnx
from ml_collections import ConfigDict

from data_pipelines.datasets import Dataset
from data_pipelines.from_config import make_data
from data_pipelines.splits import Split
from qlae.common.errors import UserError
from qlae.models.base import Model
from qlae.program import Program, make_program
from qlae.run_directory import RunDirectory
from qlae.training.checkpoint import list_steps, load_params
from qlae.training.sharding import Sharding, make_sharding
from qlae.training.state import Params


@dataclass(frozen=True)
class RestoredRun:
    """Everything of a run but its arrays, which `load` reads a step at a time."""

    directory: RunDirectory
    config: ConfigDict
    dataset: Dataset
    split: Split
    program: Program
    sharding: Sharding
    batch_size: int

    def load(self, step: int | None = None) -> Params:
        """Reads the parameters of a checkpoint, whole on every device.

        Args:
            step: one of `qlae.training.checkpoint.list_steps`; None takes the newest.

        Raises:
            UserError: there is no such checkpoint, or it is damaged.
        """
        steps = list_steps(self.directory.path)
        if not steps:
            raise UserError(f"{self.directory.path} has no checkpoint yet")
        if step is None:
            step = steps[-1]
        if step not in steps:
            known = ", ".join(f"{known:,}" for known in steps)
            raise UserError(f"{self.directory.path} has no checkpoint of step {step:,}: {known}")
        abstract = self.sharding.abstract(self.program.abstract_params)
        return load_params(self.directory.path, step, abstract)

    @functools.cached_property
    def abstract_model(self) -> Model:
        """The model without arrays: its sizes and kinds."""
        return nnx.eval_shape(lambda: self.program.make_model(nnx.Rngs(0)))


def open_run(workdir: epath.PathLike, data_dir: str | None = None) -> RestoredRun:
    """Opens a run directory.

    Args:
        workdir: where the run trains, trained, or is about to.
        data_dir: where this machine keeps datasets, if not where the trainer did.

    Raises:
        UserError: there is no run, or its dataset is not here.
    """
    directory = RunDirectory(workdir)
    config = directory.load_config()
    if data_dir is not None:
        config.data.data_dir = data_dir
    dataset, split = make_data(config.data)
    program = make_program(
        config,
        image_shape=dataset.spec.image_shape,
        num_sources=dataset.spec.num_sources,
        dataset_size=len(split.train_indices),
    )
    sharding = make_sharding()
    # The evaluator's devices are not the trainer's: round its batch up to them.
    batch_size = -(-config.eval.batch_size // sharding.num_data) * sharding.num_data
    return RestoredRun(directory, config, dataset, split, program, sharding, batch_size)
