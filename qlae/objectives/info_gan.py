"""The InfoGAN's two players: critic with encoder, generator with codebook (method, section 4)."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from qlae.models.info_gan import InfoGAN
from qlae.objectives.forward import Forward
from qlae.objectives.player import Draws, Metrics, Player, Weights, weigh
from qlae.objectives.terms import TERMS


def make_info_gan_players(
    terms: Sequence[str], model: InfoGAN, *, dataset_size: int, generator_every: int = 5
) -> tuple[Player, Player]:
    """Returns critic and generator: the critic moves on every step, the generator on every fifth.

    Their loss terms: `value` (the Wasserstein estimate), `gradient` (the penalty), `latent` (how
    well the encoder finds the latents of a generated image), and `terms` on generated images.

    Args:
        terms: names of `TERMS`, each weighted by the weight of its name.
        model: whose they are; only shapes are known.
        dataset_size: number of training images.
        generator_every: steps from one move of the generator to the next.
    """

    del model

    def draw_critic(model: InfoGAN, key: jax.Array, batch_size: int) -> Draws:
        key_latents, key_mix = jax.random.split(key)
        return {
            "latents": model.latents.draw_prior(key_latents, batch_size),
            "mix": jax.random.uniform(key_mix, (batch_size, 1, 1, 1)),
        }

    def draw_generator(model: InfoGAN, key: jax.Array, batch_size: int) -> Draws:
        return {"latents": model.latents.draw_prior(key, batch_size)}

    def critic_loss(
        model: InfoGAN, image: jax.Array, draws: Draws, weights: Weights, step: jax.Array
    ) -> tuple[jax.Array, Metrics, Draws]:
        del step
        z, logits, fake = _generate(model, draws["latents"], image.dtype)
        # The critic looks at each image by itself, so one pass does for generated and real ones.
        value, codes = model.judge(jnp.concatenate([fake, image]))
        value_fake, value_real = jnp.split(value, 2)
        codes = jax.tree.map(lambda rows: rows[: len(fake)], codes)
        forward = Forward(codes, fake, logits, dataset_size)
        mixed = draws["mix"] * image + (1 - draws["mix"]) * fake
        losses = {
            "value": jnp.mean(value_fake) - jnp.mean(value_real),
            "gradient": compute_gradient_penalty(lambda x: model.judge(x)[0], mixed),
            "latent": jnp.mean((codes.z_hat - z) ** 2),
            **{name: TERMS[name](forward) for name in terms},
        }
        return weigh(losses, weights), losses, {}

    def generator_loss(
        model: InfoGAN, image: jax.Array, draws: Draws, weights: Weights, step: jax.Array
    ) -> tuple[jax.Array, Metrics, Draws]:
        del step
        z, logits, fake = _generate(model, draws["latents"], image.dtype)
        value_fake, codes = model.judge(fake)
        forward = Forward(codes, fake, logits, dataset_size)
        losses = {
            "value": -jnp.mean(value_fake),
            "latent": jnp.mean((codes.z_hat - z) ** 2),
            **{name: TERMS[name](forward) for name in terms},
        }
        return weigh(losses, weights), losses, {}

    return (
        Player("critic", ("encoder", "critic"), draw_critic, critic_loss),
        Player(
            "generator", ("generator", "latents"), draw_generator, generator_loss, generator_every
        ),
    )


def compute_gradient_penalty(
    critic: Callable[[jax.Array], jax.Array], image_BxHxWxC: jax.Array
) -> jax.Array:
    """Returns the mean of (|d critic / d image| - 1)^2; its gradient is 0 where the norm is.

    Gulrajani et al., *Improved training of Wasserstein GANs*, NeurIPS 2017.
    """
    gradient = jax.grad(lambda x: critic(x).sum())(image_BxHxWxC)
    square_B = jnp.sum(gradient**2, axis=(1, 2, 3))
    # sqrt has no finite derivative at 0; the inner `where` keeps its infinity out of the product.
    norm_B = jnp.where(square_B > 0, jnp.sqrt(jnp.where(square_B > 0, square_B, 1.0)), 0.0)
    return jnp.mean((norm_B - 1) ** 2)


def _generate(model: InfoGAN, latents: jax.Array, dtype) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns decoder inputs, and logits and images generated from them, as the codebook moves."""
    z = model.latents.lookup(latents)
    logits = model.decode(z).astype(dtype)
    return z, logits, jax.nn.sigmoid(logits)
