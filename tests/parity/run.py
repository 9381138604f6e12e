"""Parameters that players move, as the train step does, from given draws."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from qlae.objectives.player import Player
from qlae.program import Program
from qlae.training.steps import make_update
from tests.parity.golden import Golden


def jit(function: Callable) -> Callable:
    """Compiles a program that runs a few times on a few images: the sooner, the better.

    Not so in float32, where rounding is what is looked at: there it is compiled as a user's is.
    """
    double = jnp.result_type(float) == jnp.float64
    level = "0" if double else "3"
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": level})


class Run:
    """Parameters and optimizer states that players move, as the train step does.

    Attributes:
        grads: of the last move's loss in what its player trains, before clipping.
    """

    def __init__(self, golden: Golden, program: Program, params: dict, image: jax.Array):
        self.program, self.image = program, image
        self.moves = {player.name: self._make_move(player) for player in program.players}
        players = self.program.players
        states = {p.name: self.program.init_opt_state(p, params) for p in players}
        self._start = params, states, jnp.asarray(int(golden.hp("step0")))
        self._made: dict[tuple[str, ...], tuple] = {}
        self.restart()

    def restart(self, handed: dict | None = None) -> None:
        """Goes back to the start; what is compiled stays, and what any moves from there led to.

        Args:
            handed: what the player that moves first is given, as if by one before it.
        """
        self.params, self.states, self.step = self._start
        self.handed = handed or {}
        self.grads: dict = {}
        self._path = tuple(self.handed)

    def move(self, player: Player, draws: dict) -> dict:
        """Returns the metrics of a player's move. A player has the same draws in all its moves."""
        self._path += (player.name,)
        if self._path not in self._made:
            self._made[self._path] = self._move(player, draws)
        self.params, self.states, self.handed, self.grads, metrics = self._made[self._path]
        self.step = self.step + 1
        return metrics

    def _move(self, player: Player, draws: dict) -> tuple:
        moved, grads = self.moves[player.name](
            self.params,
            self.states[player.name],
            self.program.hyperparameters,
            self.image,
            draws | self.handed,
            self.step,
        )
        params, state, metrics, handed = moved
        return params, self.states | {player.name: state}, self.handed | handed, grads, metrics

    def _make_move(self, player: Player) -> Callable:
        """Returns the train step's update, and the gradients that it keeps to itself."""
        grads: dict = {}

        def make_optimizer(*args):
            optimizer = self.program.make_optimizer(*args)

            def update(updates, *rest):
                grads[player.name] = updates
                return optimizer.update(updates, *rest)

            return optax.GradientTransformation(optimizer.init, update)

        update = make_update(self.program.graphdef, player, make_optimizer)
        return jit(lambda *args: (update(*args), grads.pop(player.name)))
