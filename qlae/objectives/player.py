"""Who is trained on what: a loss, the parameters that it moves, and how often."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax

Draws = dict[str, Any]
Metrics = dict[str, jax.Array]
Weights = Mapping[str, jax.Array]


@dataclass(frozen=True)
class Player:
    """One loss and the part of a model that minimises it. An autoencoder has one, a GAN two.

    Attributes:
        name: key of its optimizer state, and prefix of its metrics where there are several.
        trains: top-level modules of the model whose parameters it moves.
        draw: (model, key, batch_size) -> the random draws of one step, so that a test or another
            program can give its own.
        loss: (model, image_BxHxWxC, draws, weights, step) -> (scalar, metrics, handed): what it
            hands to the players that move after it in the same step, which find it among draws.
        every: it moves on every `every`-th step.
    """

    name: str
    trains: tuple[str, ...]
    draw: Callable[[Any, jax.Array, int], Draws]
    loss: Callable[[Any, jax.Array, Draws, Weights, jax.Array], tuple[jax.Array, Metrics, Draws]]
    every: int = 1


def weigh(losses: Metrics, weights: Weights) -> jax.Array:
    """Returns the weighted sum of loss terms, each under the name of its weight."""
    return sum((weights[name] * loss for name, loss in losses.items()), start=jax.numpy.zeros(()))
