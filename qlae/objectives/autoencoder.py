"""The autoencoder's player: reconstruction plus whichever terms its row of the zoo names."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from qlae.models.autoencoder import Autoencoder
from qlae.objectives.player import Draws, Metrics, Player, Weights, weigh
from qlae.objectives.terms import TERMS, Forward


def make_autoencoder_players(
    terms: Sequence[str], *, dataset_size: int, warmup_steps: Mapping[str, int] | None = None
) -> tuple[Player, ...]:
    """Returns the single player of an autoencoder.

    Args:
        terms: names of `TERMS` beside reconstruction, each weighted by the weight of its name.
        dataset_size: number of training images.
        warmup_steps: of a term whose weight grows linearly from 0 over so many steps.
    """
    names = ("reconstruction", *terms)
    durations = {name: steps for name, steps in (warmup_steps or {}).items() if steps > 0}

    def draw(model: Autoencoder, key: jax.Array, batch_size: int) -> Draws:
        return {"noise": model.latents.draw_noise(key, batch_size)}

    def loss(
        model: Autoencoder, image: jax.Array, draws: Draws, weights: Weights, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        codes = model.encode(image, draws["noise"])
        forward = Forward(codes, image, model.decode(codes.z_hat), dataset_size)
        losses = {name: TERMS[name](forward) for name in names}
        grown = {
            name: weights[name] * jnp.minimum(1.0, step / duration)
            for name, duration in durations.items()
        }
        return weigh(losses, {**weights, **grown}), losses

    return (Player("autoencoder", ("encoder", "latents", "decoder"), draw, loss),)
