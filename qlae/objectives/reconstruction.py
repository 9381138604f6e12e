"""How well a decoded image matches the original."""

import jax
import jax.numpy as jnp
import optax


def compute_reconstruction(logits_BxHxWxC: jax.Array, image_BxHxWxC: jax.Array) -> jax.Array:
    """Returns the mean sigmoid binary cross entropy over all pixels, with soft targets in [0, 1].

    The sum runs in the image's dtype (float32 in training), whatever the logits were computed in.
    """
    logits = logits_BxHxWxC.astype(image_BxHxWxC.dtype)
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, image_BxHxWxC))
