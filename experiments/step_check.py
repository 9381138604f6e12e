"""A train step traced on shapes before anything is claimed, then compiled beside what is loaded."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp

from experiments.trainer import Trainer
from qlae.common.errors import UserError


def check_step(trainer: Trainer) -> None:
    """Traces the step once; training reuses what was traced.

    Raises:
        UserError: the networks do not fit the images or each other.
    """
    try:
        trainer.step.eval_shape(*make_abstract_arguments(trainer))
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        height, width, _ = trainer.facts.image_shape
        raise UserError(
            f"config.model's networks do not fit images of {height}x{width}: "
            f"{str(error).splitlines()[0][:200]}; look at kernel_sizes, strides and padding"
        ) from error


def compile_step(trainer: Trainer) -> Future:
    """Begins to compile the step, while the state is made or restored; returns what will be it."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="compile")
    lowered = trainer.step.lower(*make_abstract_arguments(trainer))
    return thread.submit(lowered.compile)


def make_abstract_arguments(trainer: Trainer) -> tuple[Any, Any, dict[str, Any]]:
    """Returns shapes, dtypes and shardings of a step's arguments."""
    layout, data = trainer.layout, trainer.data

    def stack(leaf: Any) -> jax.ShapeDtypeStruct:
        shape = (layout.num_slots, *leaf.shape)
        return jax.ShapeDtypeStruct(shape, leaf.dtype, sharding=layout.members)

    state, hyperparameters = jax.tree.map(
        stack, (trainer.program.abstract_state, trainer.program.hyperparameters)
    )
    renders = data.emit == "index"
    shape = () if renders else data.dataset.spec.image_shape
    batch = jax.ShapeDtypeStruct(
        (trainer.config.batch_size, *shape),
        jnp.int32 if renders else jnp.uint8,
        sharding=layout.batch,
    )
    return state, hyperparameters, {data.emit: batch}
