"""The autoencoder's player: reconstruction plus whichever latent terms its row of the zoo names."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from qlae.models.autoencoder import Autoencoder
from qlae.objectives.player import Draws, LatentTerms, Metrics, Player, Weights, weigh
from qlae.objectives.reconstruction import compute_reconstruction


def make_autoencoder_players(
    latent_terms: LatentTerms,
    *,
    per_pixel: bool = False,
    warmup_steps: Mapping[str, int] | None = None,
) -> tuple[Player, ...]:
    """Returns the single player of an autoencoder.

    Args:
        latent_terms: codes -> scalars, each weighted by the entry of `weights` of its name.
        per_pixel: divide the latent terms by the number of pixels and channels of an image, as the
            variational objectives do to stay comparable with a *mean* reconstruction.
        warmup_steps: of a term whose weight grows linearly from 0 over so many steps.
    """
    warmup_steps = dict(warmup_steps or {})

    def draw(model: Autoencoder, key: jax.Array, batch_size: int) -> Draws:
        return {"noise": model.latents.draw_noise(key, batch_size)}

    def loss(
        model: Autoencoder, image: jax.Array, draws: Draws, weights: Weights, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        codes = model.encode(image, draws["noise"])
        num_pixels = math.prod(image.shape[1:]) if per_pixel else 1
        losses = {"reconstruction": compute_reconstruction(model.decode(codes.z_hat), image)}
        losses |= {name: term / num_pixels for name, term in latent_terms(codes).items()}
        grown = {
            name: weights[name] * jnp.minimum(1.0, step / duration)
            for name, duration in warmup_steps.items()
            if duration > 0
        }
        return weigh(losses, {**weights, **grown}), losses

    return (Player("autoencoder", ("encoder", "latents", "decoder"), draw, loss),)
