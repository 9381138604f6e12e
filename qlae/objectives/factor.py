"""The factor models' two players: an autoencoder, and a discriminator that estimates dependence.

Kim and Mnih, *Disentangling by factorising*, ICML 2018 (arXiv 1802.05983), algorithm 2; with
discrete latents Baykal et al., 2024 (arXiv 2409.14851).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax
from jax.lax import stop_gradient

from qlae.collectives import gather_rows
from qlae.common.errors import UserError
from qlae.models.autoencoder import FactorAutoencoder
from qlae.objectives.autoencoder import PARTS, make_objective
from qlae.objectives.player import Draws, Metrics, Player, Weights, weigh
from qlae.objectives.terms import warm_up

# The discriminator's classes.
_JOINT, _INDEPENDENT = 0, 1


def make_factor_players(
    terms: Sequence[str], model: FactorAutoencoder, *, per_pixel: bool = True, **options
) -> tuple[Player, Player]:
    """Returns autoencoder and discriminator; each sees every other image of a batch.

    The discriminator moves second. It sees latents of the other images, encoded as the autoencoder
    has just become, each permuted over the batch; and those of the autoencoder's images as they
    were. Every other image, so that neither half depends on the number of devices.

    Args:
        terms: names of `TERMS`, `total_correlation` among them, which is the discriminator's here.
        model: whose they are; only shapes are known.
        per_pixel: total correlation is in nats a pixel, as the KL is; else in nats.
        **options: as `make_objective` takes them.
    """
    own_terms = [name for name in terms if name != "total_correlation"]
    objective = make_objective(own_terms, model, **options)

    def draw(model: FactorAutoencoder, key: jax.Array, batch_size: int) -> Draws:
        return objective.draw(model, key, batch_size // 2)

    def loss(
        model: FactorAutoencoder, image: jax.Array, draws: Draws, weights: Weights, step: jax.Array
    ) -> tuple[jax.Array, Metrics, Draws]:
        own, _ = halve(image)
        forward, losses = objective.compute(model, own, draws, weights, step)
        sample = forward.codes.sample
        total_correlation = estimate_total_correlation(model.discriminator(sample))
        scale = forward.num_pixels if per_pixel else 1
        losses = losses | {"total_correlation": total_correlation / scale}
        handed = {"joint": stop_gradient(sample)}
        return weigh(losses, warm_up(weights, objective.warmup_steps, step)), losses, handed

    def draw_discriminator(model: FactorAutoencoder, key: jax.Array, batch_size: int) -> Draws:
        key_noise, key_order = jax.random.split(key)
        order = jax.random.uniform(key_order, (batch_size // 2, model.latents.num_latents))
        return {
            "noise": model.latents.draw_noise(key_noise, batch_size // 2),
            "permutations": jnp.argsort(order, axis=0),
        }

    def discriminator_loss(
        model: FactorAutoencoder, image: jax.Array, draws: Draws, weights: Weights, step: jax.Array
    ) -> tuple[jax.Array, Metrics, Draws]:
        del weights
        _, other = halve(image)
        sample = model.encode(other, draws["noise"], step).sample
        permuted = permute(sample, draws["permutations"])
        losses = {
            "joint": _classify(model.discriminator(draws["joint"]), _JOINT),
            "permuted": _classify(model.discriminator(permuted), _INDEPENDENT),
        }
        return (losses["joint"] + losses["permuted"]) / 2, losses, {}

    return (
        Player("autoencoder", PARTS, draw, loss),
        Player("discriminator", ("discriminator",), draw_discriminator, discriminator_loss),
    )


def halve(image_BxHxWxC: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the even rows of a batch and its odd ones, (B / 2, H, W, C) each.

    Raises:
        UserError: there is an odd number of rows.
    """
    if len(image_BxHxWxC) % 2:
        raise UserError(
            f"a device's share of the batch is {len(image_BxHxWxC)} images, which the two players "
            "of a factor model cannot halve: choose config.batch_size or config.mesh.data so that "
            "it is even"
        )
    return image_BxHxWxC[0::2], image_BxHxWxC[1::2]


def permute(sample_BxZxN: jax.Array, permutations_BxZ: jax.Array) -> jax.Array:
    """Returns rows (B, Z, N) whose latent z is that of row `permutations[:, z]` of all devices."""
    sample_AxZxN = gather_rows(sample_BxZxN)
    return jnp.take_along_axis(sample_AxZxN, permutations_BxZ[..., None], axis=0)


def estimate_total_correlation(logits_Bx2: jax.Array) -> jax.Array:
    """Returns the mean log density ratio of joint to independent latents, in nats."""
    return jnp.mean(logits_Bx2[:, _JOINT] - logits_Bx2[:, _INDEPENDENT])


def _classify(logits_Bx2: jax.Array, label: int) -> jax.Array:
    labels_B = jnp.full(len(logits_Bx2), label)
    return optax.softmax_cross_entropy_with_integer_labels(logits_Bx2, labels_B).mean()
