"""Latents on fixed grids, FSQ's and Tripod's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qlae.common.errors import UserError
from qlae.latents.rounded import FSQLatents, GridLatents

KEY = jax.random.key(0)


@pytest.mark.parametrize("make", [FSQLatents, GridLatents])
def test_lookup_of_indices_is_what_the_decoder_was_given(make):
    latents = make(4, levels=(2, 5, 8, 11))
    codes = latents(3 * jax.random.normal(KEY, (200, 4)))
    np.testing.assert_allclose(latents.lookup(codes.indices), codes.z_hat, atol=1e-6)
    np.testing.assert_array_equal(codes.z_quantized, latents.lookup(codes.indices))
    assert codes.latents is codes.indices
    assert codes.indices.dtype == jnp.int32
    for column, levels in zip(codes.indices.T, latents.num_values_Z, strict=True):
        assert set(np.unique(column)) == set(range(levels))
    # Rounding moves a latent by half a step at most.
    step = np.asarray(latents.place(jnp.ones(4)) - latents.place(jnp.zeros(4)))
    assert (np.abs(codes.z_quantized - codes.z_continuous) <= step / 2 + 1e-6).all()


@pytest.mark.parametrize("make", [FSQLatents, GridLatents])
def test_prior_draws_every_level_of_each_latent(make):
    latents = make(3, levels=(2, 5, 7))
    draws = latents.draw_prior(KEY, 500)
    assert [set(np.unique(column)) for column in draws.T] == [set(range(n)) for n in (2, 5, 7)]
    assert jnp.abs(latents.lookup(draws)).max() <= 1


def test_levels_that_all_latents_share_stand_for_each():
    assert FSQLatents(3, levels=(7,)).num_values_Z == (7, 7, 7)
    assert FSQLatents(3, levels=(7, 5, 3)).num_values == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": (8, 5)}, "levels has 2 numbers: give 1, which all latents share, or 3"),
        ({"levels": (8, 5, 1)}, r"levels=\(8, 5, 1\): give at least 2 each"),
        ({"levels": (8,), "shift": "atan"}, "shift='atan': expected tan or atanh"),
    ],
)
def test_levels_that_do_not_fit_are_one_line(options, message):
    with pytest.raises(UserError, match=message):
        FSQLatents(3, **options)
