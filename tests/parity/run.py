"""Parameters that players move, as the train step does, from given draws."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from qlae.objectives.player import Player
from qlae.program import Program
from qlae.training.state import select
from qlae.training.steps import make_update
from tests.parity.golden import Golden


def jit(function: Callable) -> Callable:
    """Compiles a program that runs a few times on a few images: the sooner, the better.

    Not so in float32, where rounding is what is looked at: there it is compiled as a user's is.
    """
    double = jnp.result_type(float) == jnp.float64
    level = {"xla_backend_optimization_level": "0"} if double else None
    return jax.jit(function, compiler_options=level)


class Run:
    """Parameters and optimizer states that players move, as the train step does."""

    def __init__(self, golden: Golden, program: Program, params: dict, image: jax.Array):
        self.program, self.params, self.image = program, params, image
        self.step = jnp.asarray(int(golden.hp("step0")))
        self.handed: dict = {}
        self.states = {p.name: program.init_opt_state(p, params) for p in program.players}
        self.updates = {
            p.name: jit(make_update(program.graphdef, p, program.make_optimizer))
            for p in program.players
        }

    def move(self, player: Player, draws: dict) -> dict:
        self.params, self.states[player.name], metrics, handed = self.updates[player.name](
            self.params,
            self.states[player.name],
            self.program.hyperparameters,
            self.image,
            draws | self.handed,
            self.step,
        )
        self.handed |= handed
        self.step = self.step + 1
        return metrics

    def grads(self, player: Player, params: dict, draws: dict) -> dict:
        step = self.step - 1

        def loss(trained: dict) -> jax.Array:
            model = self.program.merge(params | trained)
            weights = self.program.hyperparameters.weights
            return player.loss(model, self.image, draws | self.handed, weights, step)[0]

        return jit(jax.grad(loss))(select(params, player))
