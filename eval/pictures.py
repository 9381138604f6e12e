"""What a checkpoint looks like, as arrays: reconstructions, traversals, samples."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.from_config import Data
from eval.clear_images import find_clear_images
from eval.encode import Encoding
from qlae.models.base import Model
from qlae.program import Program
from qlae.training.layout import Layout
from qlae.training.state import Params

_MOST_COLUMNS = 10
_NUM_RECONSTRUCTIONS = 12
_NUM_SAMPLES = 64


@dataclass(frozen=True)
class Pictures:
    """Images of one checkpoint, float in [0, 1].

    Attributes:
        originals: (K, H, W, C) evaluation images.
        reconstructions: (K, H, W, C).
        traversals: one (columns, H, W, C) per latent, that latent swept and all others kept.
        base_column: for each latent, the column nearest to the swept image's own latent.
        samples: (N, H, W, C) decoded from the prior, of a GAN; else None.
    """

    originals: np.ndarray
    reconstructions: np.ndarray
    traversals: list[np.ndarray]
    base_column: list[int]
    samples: np.ndarray | None


def make_illustrator(
    program: Program, abstract_model: Model, data: Data, layout: Layout
) -> Callable[[Params, Encoding], Pictures]:
    """Returns the function that makes the pictures of given parameters, the same at every step."""
    num_values_Z = abstract_model.latents.num_values_Z
    is_gan = hasattr(abstract_model, "generator")

    def decode(params: Params, latents_BxZ: jax.Array) -> jax.Array:
        model = program.merge(params)
        z_BxD = model.latents.lookup(latents_BxZ)
        return jax.nn.sigmoid(model.decode(z_BxD).astype(jnp.float32))

    def draw(params: Params) -> jax.Array:
        model = program.merge(params)
        return model.latents.draw_prior(jax.random.key(0), _NUM_SAMPLES)

    jitted_decode = jax.jit(decode, out_shardings=layout.replicated)
    jitted_draw = jax.jit(draw, out_shardings=layout.replicated)

    def illustrate(params: Params, encoding: Encoding) -> Pictures:
        # Spread over the grid, so that they differ in every source.
        count = len(encoding.latents_NxZ)
        chosen = np.arange(_NUM_RECONSTRUCTIONS) * count // _NUM_RECONSTRUCTIONS
        originals = data.dataset.images(encoding.indices_N[chosen]).astype(np.float32) / 255
        spec = data.dataset.spec
        (base,) = find_clear_images(spec, spec.sources_at(encoding.indices_N), 1)
        base_Z = encoding.latents_NxZ[base]
        sweeps = [
            sweep_values(column_N, base, num_values)
            for column_N, base, num_values in zip(
                encoding.latents_NxZ.T,
                base_Z,
                num_values_Z or (None,) * len(base_Z),
                strict=True,
            )
        ]
        swept = np.concatenate(
            [_with_latent(base_Z, latent, values) for latent, values in enumerate(sweeps)]
        )
        decoded = np.asarray(jitted_decode(params, swept))
        ends = np.cumsum([len(values) for values in sweeps])
        return Pictures(
            originals=originals,
            reconstructions=np.asarray(jitted_decode(params, encoding.latents_NxZ[chosen])),
            traversals=np.split(decoded, ends[:-1]),
            base_column=[
                int(np.abs(values - base).argmin())
                for values, base in zip(sweeps, base_Z, strict=True)
            ],
            samples=np.asarray(jitted_decode(params, jitted_draw(params))) if is_gan else None,
        )

    return illustrate


def sweep_values(latents_N: np.ndarray, base: float, num_values: int | None) -> np.ndarray:
    """Returns the values that a traversal gives one latent, ascending, about 10 of them.

    Continuous latents go from their 1st to their 99th percentile; discrete ones through the whole
    codebook by index or, where it is large, through the codes used most and the image's own.
    """
    if num_values is None:
        low, high = np.percentile(latents_N, [1, 99])
        return np.linspace(low, high, _MOST_COLUMNS).astype(latents_N.dtype)
    if num_values <= 2 * _MOST_COLUMNS:
        return np.arange(num_values, dtype=latents_N.dtype)
    counts = np.bincount(latents_N, minlength=num_values)
    counts[int(base)] = len(latents_N) + 1
    return np.sort(np.argsort(-counts, kind="stable")[:_MOST_COLUMNS]).astype(latents_N.dtype)


def _with_latent(base_Z: np.ndarray, latent: int, values_K: np.ndarray) -> np.ndarray:
    rows_KxZ = np.tile(base_Z, (len(values_K), 1))
    rows_KxZ[:, latent] = values_K
    return rows_KxZ
