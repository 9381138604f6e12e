"""The autoencoder's player: reconstruction plus whichever terms its config weighs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax

from qlae.models.autoencoder import Autoencoder
from qlae.objectives.forward import Forward, Probe
from qlae.objectives.player import Draws, Metrics, Player, Weights, weigh
from qlae.objectives.terms import TERMS, warm_up
from qlae.objectives.tripod import check_activations, draw_directions

PARTS = ("encoder", "latents", "decoder")


@dataclass(frozen=True)
class Objective:
    """What an autoencoder minimises.

    Attributes:
        names: of its terms, each weighted by the weight of its name.
        dataset_size: number of training images.
        warmup_steps: of a term whose weight grows linearly from 0 over so many steps.
        probe: how curvature is probed, for the terms that do.
    """

    names: Sequence[str]
    dataset_size: int
    warmup_steps: Mapping[str, int] = field(default_factory=dict)
    probe: Probe = field(default_factory=Probe)

    def draw(self, model: Autoencoder, key: jax.Array, batch_size: int) -> Draws:
        """Returns the noise of the latents, and the directions of the terms that need some."""
        directions = draw_directions(self.names, model, self.probe, key, batch_size)
        return {"noise": model.latents.draw_noise(key, batch_size), **directions}

    def compute(
        self, model: Autoencoder, image: jax.Array, draws: Draws, weights: Weights, step: jax.Array
    ) -> tuple[Forward, Metrics]:
        """Passes a batch through the model; returns what that shows, and each term."""
        codes = model.encode(image, draws["noise"], step)
        output = model.decoder(codes.z_hat)
        forward = Forward(
            codes,
            image,
            output,
            self.dataset_size,
            decoder=model.decoder,
            draws=draws,
            probe=self.probe,
            weights=weights,
        )
        return forward, {name: TERMS[name](forward) for name in self.names}


def make_objective(
    terms: Sequence[str], model: Autoencoder, *, probe: Mapping[str, Any] | None = None, **options
) -> Objective:
    """Returns the objective of a model of which only shapes are known.

    Raises:
        UserError: a term probes activations that the decoder does not have.
    """
    objective = Objective(terms, probe=Probe(**(probe or {})), **options)
    check_activations(model, objective.probe)
    return objective


def make_autoencoder_players(
    terms: Sequence[str], model: Autoencoder, **options
) -> tuple[Player, ...]:
    """Returns the single player of an autoencoder, given what `make_objective` takes."""
    objective = make_objective(terms, model, **options)

    def loss(
        model: Autoencoder, image: jax.Array, draws: Draws, weights: Weights, step: jax.Array
    ) -> tuple[jax.Array, Metrics, Draws]:
        _, losses = objective.compute(model, image, draws, weights, step)
        return weigh(losses, warm_up(weights, objective.warmup_steps, step)), losses, {}

    return (Player("autoencoder", PARTS, objective.draw, loss),)
