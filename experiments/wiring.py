"""From a config to everything that trains it, on given devices; nothing is computed here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from data_pipelines.datasets import Dataset, RenderedDataset
from data_pipelines.from_config import make_data, make_prepare
from data_pipelines.pipeline import Emit
from data_pipelines.splits import Split
from qlae.objectives.player import Metrics
from qlae.program import Program, make_program
from qlae.training.sharding import Sharding, make_sharding
from qlae.training.state import TrainState


@dataclass(frozen=True)
class Wiring:
    """A run before its first array.

    Attributes:
        dataset: its images.
        split: which of them are trained on.
        emit: what the pipeline sends to the device: images, or indices to render in the step.
        program: the model and how it is trained.
        sharding: where arrays live.
        init: seed -> TrainState, jitted.
        step: (state, hyperparameters, batch) -> (state, metrics), jitted; donates the state.
    """

    dataset: Dataset
    split: Split
    emit: Emit
    program: Program
    sharding: Sharding
    init: Callable[[int], TrainState]
    step: Callable[..., tuple[TrainState, Metrics]]

    def abstract_step_arguments(self, batch_size: int) -> tuple[Any, Any, dict[str, Any]]:
        """Returns shapes, dtypes and shardings of the step's arguments, to compile it ahead."""
        state = self.sharding.abstract(jax.eval_shape(self.program.init, 0))
        hyperparameters = self.sharding.abstract(self.program.hyperparameters)
        shape = self.dataset.spec.image_shape if self.emit == "image" else ()
        batch = jax.ShapeDtypeStruct(
            (batch_size, *shape),
            jnp.uint8 if self.emit == "image" else jnp.int32,
            sharding=self.sharding.batch,
        )
        return state, hyperparameters, {self.emit: batch}


def make_wiring(config: ConfigDict, devices: Sequence[jax.Device] | None = None) -> Wiring:
    """Wires a config up on all devices, or on the given ones (which may be a topology's).

    Raises:
        UserError: the config names something that does not exist, or does not fit the devices.
    """
    sharding = make_sharding(
        batch_size=config.batch_size, num_data=config.mesh.data, devices=devices
    )
    dataset, split = make_data(config.data)
    program = make_program(
        config,
        image_shape=dataset.spec.image_shape,
        num_sources=dataset.spec.num_sources,
        dataset_size=len(split.train_indices),
    )
    renders = config.data.render_in_step and isinstance(dataset, RenderedDataset)
    step = jax.jit(
        program.make_step(make_prepare(dataset)),
        donate_argnums=0,
        in_shardings=(sharding.replicated, sharding.replicated, sharding.batch),
        out_shardings=sharding.replicated,
    )
    return Wiring(
        dataset=dataset,
        split=split,
        emit="index" if renders else "image",
        program=program,
        sharding=sharding,
        init=jax.jit(program.init, out_shardings=sharding.replicated),
        step=step,
    )
