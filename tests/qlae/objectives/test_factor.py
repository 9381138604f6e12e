"""The factor models' players: halves, permutations, total correlation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qlae.common.errors import UserError
from qlae.objectives import factor

KEY = jax.random.key(0)


def test_halves_are_every_other_image():
    image = jnp.arange(6.0).reshape(6, 1, 1, 1)
    even, odd = factor.halve(image)
    assert even.ravel().tolist() == [0, 2, 4]
    assert odd.ravel().tolist() == [1, 3, 5]
    with pytest.raises(UserError, match="share of the batch is 5 images"):
        factor.halve(image[:5])


def test_each_latent_is_permuted_by_itself():
    sample = jax.random.normal(KEY, (5, 3, 2))
    permutations = jnp.stack([jnp.roll(jnp.arange(5), shift) for shift in range(3)], axis=1)
    permuted = factor.permute(sample, permutations)
    for latent in range(3):
        np.testing.assert_array_equal(permuted[:, latent], jnp.roll(sample[:, latent], latent, 0))


def test_total_correlation_is_the_log_ratio_that_the_discriminator_gives():
    logits = jnp.asarray([[2.0, 0.5], [1.0, 1.5]])
    assert factor.estimate_total_correlation(logits) == (1.5 - 0.5) / 2
