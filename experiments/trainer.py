"""From a config to everything that trains it, on given devices; nothing is computed here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from grain import DatasetIterator
from ml_collections import ConfigDict

from data_pipelines.from_config import Data, make_data, make_prepare
from data_pipelines.pipeline import make_train_iterator
from experiments.compilation import jit_once, with_precision
from qlae.dataset_facts import DatasetFacts
from qlae.program import Program, make_hyperparameters, make_program
from qlae.training.feed import Feed
from qlae.training.layout import Layout
from qlae.training.mesh import choose_mesh_shape, make_mesh
from qlae.training.state import Hyperparameters, TrainState


@dataclass(frozen=True)
class Trainer:
    """A population before its first array; every tree that it takes or gives is stacked over slots.

    Attributes:
        config: of the population; its members differ in seed and traced scalars alone.
        data: what is trained on.
        facts: what the model knows of that.
        program: the model and how one member is trained.
        layout: of members and batches on the mesh.
        feed: batches' way there.
        init: seeds (slots,) -> the state, jitted.
        step: (state, hyperparameters, batch) -> (state, metrics), jitted; donates the state.
    """

    config: ConfigDict
    data: Data
    facts: DatasetFacts
    program: Program
    layout: Layout
    feed: Feed
    init: Callable[[jax.Array], TrainState]
    step: Any  # jitted

    def make_batches(self) -> DatasetIterator:
        """Returns the endless batches of this process, from the first on."""
        process_index, process_count = self.feed.share
        return make_train_iterator(
            self.data.dataset,
            self.data.split,
            batch_size=self.config.batch_size,
            seed=self.config.data.order_seed,
            process_index=process_index,
            process_count=process_count,
            emit=self.data.emit,
        )

    def put_seeds(self, configs: Sequence[ConfigDict]) -> jax.Array:
        """Returns the seeds (slots,) uint32 of one config a slot."""
        return self.layout.put_stacked([jnp.uint32(config.seed) for config in configs])

    def put_hyperparameters(self, configs: Sequence[ConfigDict]) -> Hyperparameters:
        """Returns the traced scalars (slots,) of one config a slot."""
        return self.layout.put_stacked([make_hyperparameters(config) for config in configs])


def make_trainer(
    config: ConfigDict, num_members: int = 1, devices: Sequence[jax.Device] | None = None
) -> Trainer:
    """Builds the trainer of a config on all devices, or on the given ones (or a topology's).

    Args:
        config: of the run; of a population, any member's.
        num_members: of the population.
        devices: what the mesh is made of; None takes all.

    Raises:
        UserError: the config names something that does not exist, or does not fit the devices.
    """
    num_devices = jax.device_count() if devices is None else len(devices)
    shape = choose_config_mesh(config, num_devices, num_members)
    layout = Layout(make_mesh(shape, devices), num_members)
    data = make_data(config.data)
    facts = DatasetFacts(**data.facts)
    program = make_program(config, facts)
    step = with_precision(config, layout.map_step(program.make_step(make_prepare(data.dataset))))
    return Trainer(
        config=config,
        data=data,
        facts=facts,
        program=program,
        layout=layout,
        feed=Feed(layout),
        init=jit_once(layout.map_init(program.init), layout.members),
        step=jax.jit(
            step,
            donate_argnums=0,
            in_shardings=(layout.members, layout.members, layout.batch),
            out_shardings=layout.members,
        ),
    )


def choose_config_mesh(config: ConfigDict, num_devices: int, num_members: int) -> tuple[int, int]:
    """Returns the shape of a config's mesh; raises `UserError` if it cannot be."""
    return choose_mesh_shape(
        num_devices,
        config.batch_size,
        num_members=num_members,
        num_population=config.mesh.population,
        num_data=config.mesh.data,
    )
