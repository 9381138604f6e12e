"""From a config to everything that trains it, on given devices; nothing is computed here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from ml_collections import ConfigDict

from data_pipelines.datasets import Dataset, RenderedDataset
from data_pipelines.from_config import make_data, make_prepare
from data_pipelines.pipeline import Emit
from data_pipelines.splits import Split
from qlae.objectives.player import Metrics
from qlae.program import Program, make_hyperparameters, make_program
from qlae.training.population import Population
from qlae.training.sharding import Sharding, choose_mesh, make_sharding
from qlae.training.state import Hyperparameters, TrainState


@dataclass(frozen=True)
class Wiring:
    """A run, or a population of runs, before its first array.

    Attributes:
        dataset: its images.
        split: which of them are trained on.
        emit: what the pipeline sends to the device: images, or indices to render in the step.
        program: the model and how one member is trained.
        sharding: the mesh.
        population: of members, or None for a lone run.
        hyperparameters: of the run, or stacked (slots,).
        init: seed (), or seeds (slots,) -> the state, jitted.
        step: (state, hyperparameters, batch) -> (state, metrics), jitted; donates the state.
    """

    dataset: Dataset
    split: Split
    emit: Emit
    program: Program
    sharding: Sharding
    population: Population | None
    hyperparameters: Hyperparameters
    init: Callable[[Any], TrainState]
    step: Callable[..., tuple[TrainState, Metrics]]

    @property
    def state_sharding(self) -> NamedSharding:
        """Where the state lives: whole on every device, or split by members."""
        return self.sharding.members if self.population else self.sharding.replicated

    def abstract_step_arguments(self, batch_size: int) -> tuple[Any, Any, dict[str, Any]]:
        """Returns shapes, dtypes and shardings of the step's arguments, to compile it ahead."""
        shape = jax.eval_shape(lambda: self.hyperparameters.learning_rate).shape
        seeds = jax.ShapeDtypeStruct(shape, jnp.int32)
        put = self.state_sharding
        state, hyperparameters = (
            jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=put), tree)
            for tree in (jax.eval_shape(self.init, seeds), self.hyperparameters)
        )
        image_shape = self.dataset.spec.image_shape if self.emit == "image" else ()
        batch = jax.ShapeDtypeStruct(
            (batch_size, *image_shape),
            jnp.uint8 if self.emit == "image" else jnp.int32,
            sharding=self.sharding.batch,
        )
        return state, hyperparameters, {self.emit: batch}


def make_wiring(
    config: ConfigDict,
    devices: Sequence[jax.Device] | None = None,
    members: Sequence[ConfigDict] = (),
) -> Wiring:
    """Wires a config up on all devices, or on the given ones (which may be a topology's).

    Args:
        config: of the run; of a population, any member's.
        devices: what the mesh is made of; None takes all.
        members: the configs of a population's members, which differ in seed and traced scalars
            alone; fewer than two stand for a lone run.

    Raises:
        UserError: the config names something that does not exist, or does not fit the devices.
    """
    num_devices = jax.device_count() if devices is None else len(devices)
    shape = choose_config_mesh(config, num_devices, len(members))
    sharding = make_sharding(shape, devices)
    population = Population(sharding, len(members)) if len(members) > 1 else None
    dataset, split = make_data(config.data)
    program = make_program(
        config,
        image_shape=dataset.spec.image_shape,
        num_sources=dataset.spec.num_sources,
        dataset_size=len(split.train_indices),
    )
    init: Callable[[Any], Any] = program.init
    step = program.make_step(make_prepare(dataset))
    hyperparameters = program.hyperparameters
    if population is None:
        step, state_sharding = sharding.map_step(step), sharding.replicated
    else:
        init, step = population.map_init(init), population.map_step(step)
        hyperparameters = population.stack([make_hyperparameters(member) for member in members])
        state_sharding = sharding.members
    renders = config.data.render_in_step and isinstance(dataset, RenderedDataset)
    return Wiring(
        dataset=dataset,
        split=split,
        emit="index" if renders else "image",
        program=program,
        sharding=sharding,
        population=population,
        hyperparameters=hyperparameters,
        init=jax.jit(init, out_shardings=state_sharding),
        step=jax.jit(
            step,
            donate_argnums=0,
            in_shardings=(state_sharding, state_sharding, sharding.batch),
            out_shardings=state_sharding,
        ),
    )


def choose_config_mesh(config: ConfigDict, num_devices: int, num_members: int) -> tuple[int, int]:
    """Returns the shape of a config's mesh; raises `UserError` if it cannot be (`choose_mesh`)."""
    return choose_mesh(
        num_devices,
        config.batch_size,
        num_members=max(num_members, 1),
        num_population=config.mesh.population,
        num_data=config.mesh.data,
    )
