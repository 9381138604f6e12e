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
    """Parameters and optimizer states that players move, as the train step does.

    Attributes:
        grads: of the last move's loss in what its player trains, before clipping.
    """

    def __init__(self, golden: Golden, program: Program, params: dict, image: jax.Array):
        self.program, self.image = program, image
        self.moves = {player.name: self._make_move(player) for player in program.players}
        self._start = params, int(golden.hp("step0"))
        self.restart()

    def restart(self) -> None:
        """Forgets all moves; what is compiled stays."""
        self.params, step = self._start
        self.step = jnp.asarray(step)
        self.handed: dict = {}
        self.grads: dict = {}
        players = self.program.players
        self.states = {p.name: self.program.init_opt_state(p, self.params) for p in players}

    def move(self, player: Player, draws: dict) -> dict:
        moved, self.grads = self.moves[player.name](
            self.params,
            self.states[player.name],
            self.program.hyperparameters,
            self.image,
            draws | self.handed,
            self.step,
        )
        self.params, self.states[player.name], metrics, handed = moved
        self.handed |= handed
        self.step = self.step + 1
        return metrics

    def _make_move(self, player: Player) -> Callable:
        """Returns the train step's update, and the gradients that it keeps to itself."""
        update = make_update(self.program.graphdef, player, self.program.make_optimizer)

        def move(params, state, hyperparameters, image, draws, step):
            def loss(trained: dict) -> jax.Array:
                model = self.program.merge(params | trained)
                return player.loss(model, image, draws, hyperparameters.weights, step)[0]

            moved = update(params, state, hyperparameters, image, draws, step)
            return moved, jax.grad(loss)(select(params, player))

        return jit(move)
