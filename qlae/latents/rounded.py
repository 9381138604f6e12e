"""Latents rounded to a fixed grid: FSQ's and Tripod's. They have no parameters at all."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient

from qlae.common.errors import UserError
from qlae.latents.base import Codes, Latents

_EPSILON = 1e-3  # FSQ's bound stays this share within the outermost rounding
SHIFTS = ("tan", "atanh")


class RoundedLatents(Latents):
    """What grids share: a bounded position along each, its rounding, and the value there.

    Args:
        num_latents: Z.
        levels: how many values each latent has, at least 2: one number for all, or Z of them.

    Raises:
        UserError: the levels do not fit.
    """

    def __init__(self, num_latents: int, *, levels: Sequence[int]):
        if len(levels) not in (1, num_latents):
            raise UserError(
                f"config.model.latents.levels has {len(levels)} numbers: give 1, which all latents "
                f"share, or {num_latents}, one for each"
            )
        if min(levels) < 2:
            raise UserError(f"config.model.latents.levels={tuple(levels)}: give at least 2 each")
        self.num_latents = self.num_encoder_out = self.num_decoder_in = num_latents
        self.levels = tuple(levels) * (num_latents // len(levels))
        self.num_values = max(self.levels)

    @property
    def num_values_Z(self) -> tuple[int, ...]:
        """How many values each latent has."""
        return self.levels

    @property
    def levels_Z(self) -> np.ndarray:
        """The same, as an array (Z,)."""
        return np.asarray(self.levels)

    @property
    def lowest_Z(self) -> np.ndarray:
        """The position (Z,) of index 0."""
        raise NotImplementedError

    def locate(self, pre_z: jax.Array) -> jax.Array:
        """Returns positions (B, Z) of encoder outputs (B, Z), a step of the grid a unit."""
        raise NotImplementedError

    def place(self, position_BxZ: jax.Array) -> jax.Array:
        """Returns the values (B, Z) at positions (B, Z)."""
        raise NotImplementedError

    def __call__(self, pre_z: jax.Array, noise: jax.Array | None = None, step=0) -> Codes:
        """Rounds (B, Z); gradients pass straight through the rounding, not through the bound."""
        position_BxZ = self.locate(pre_z)
        nearest_BxZ = jnp.round(position_BxZ)
        return Codes(
            z_hat=self.place(position_BxZ + stop_gradient(nearest_BxZ - position_BxZ)),
            z_continuous=self.place(position_BxZ),
            z_quantized=self.place(nearest_BxZ),
            indices=(nearest_BxZ - self.lowest_Z).astype(jnp.int32),
        )

    def lookup(self, latents_BxZ: jax.Array) -> jax.Array:
        """Returns the values (B, Z) of indices (B, Z), each in [0, its latent's levels)."""
        return self.place((latents_BxZ + self.lowest_Z).astype(float))

    def draw_prior(self, key: jax.Array, batch_size: int) -> jax.Array:
        """Returns indices (B, Z) int32, uniform over each latent's levels."""
        return jax.random.randint(key, (batch_size, self.num_latents), 0, self.levels_Z)


class FSQLatents(RoundedLatents):
    """Finite scalar quantization: values -1 to 1 for an odd number L of levels, else to 1 - 2 / L.

    Mentzer et al., *Finite scalar quantization: VQ-VAE made simple*, ICLR 2024 (arXiv 2309.15505).

    Args:
        num_latents: Z.
        levels: as `RoundedLatents` takes them.
        shift: `tan` is the paper's shift of an even number of levels; `atanh`, which inverts the
            bound, puts an encoder output of 0 exactly on a value. They differ by less than 2e-5.

    Raises:
        UserError: the levels do not fit, or there is no such shift.
    """

    def __init__(self, num_latents: int, *, levels: Sequence[int] = (10,), shift: str = "tan"):
        super().__init__(num_latents, levels=levels)
        if shift not in SHIFTS:
            raise UserError(f"config.model.latents.shift={shift!r}: expected {' or '.join(SHIFTS)}")
        self.shift = shift

    @property
    def lowest_Z(self) -> np.ndarray:
        """The position (Z,) of index 0."""
        return -(self.levels_Z // 2)

    @property
    def shift_Z(self) -> np.ndarray:
        """What is added to encoder outputs (Z,): 0 where the number of levels is odd."""
        ratio_Z = self._offset_Z / self._half_Z
        return np.tan(ratio_Z) if self.shift == "tan" else np.arctanh(ratio_Z)

    def locate(self, pre_z: jax.Array) -> jax.Array:
        """Returns tanh(pre_z + shift) spread over the levels, (B, Z)."""
        return jnp.tanh(pre_z + self.shift_Z) * self._half_Z - self._offset_Z

    def place(self, position_BxZ: jax.Array) -> jax.Array:
        """Returns the values (B, Z) at positions (B, Z)."""
        return position_BxZ / (self.levels_Z // 2)

    @property
    def _half_Z(self) -> np.ndarray:
        return (self.levels_Z - 1) * (1 - _EPSILON) / 2

    @property
    def _offset_Z(self) -> np.ndarray:
        return np.where(self.levels_Z % 2, 0.0, 0.5)


class GridLatents(RoundedLatents):
    """Tripod's grid: values evenly from -1 to 1, rounded on the scale of indices.

    Hsu et al., *Tripod: three complementary inductive biases for disentangled representation
    learning*, ICML 2024 (arXiv 2404.10282). An encoder output of 0 is a rounding tie if a latent
    has an even number of levels.
    """

    def __init__(self, num_latents: int, *, levels: Sequence[int] = (12,)):
        super().__init__(num_latents, levels=levels)

    @property
    def lowest_Z(self) -> np.ndarray:
        """The position (Z,) of index 0."""
        return np.zeros_like(self.levels_Z)

    def locate(self, pre_z: jax.Array) -> jax.Array:
        """Returns tanh(pre_z) on the scale of indices, (B, Z)."""
        return (jnp.tanh(pre_z) + 1) / 2 * (self.levels_Z - 1)

    def place(self, position_BxZ: jax.Array) -> jax.Array:
        """Returns the values (B, Z) at positions (B, Z)."""
        return 2 * position_BxZ / (self.levels_Z - 1) - 1
