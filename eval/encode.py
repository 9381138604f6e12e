"""Held-out images through a model: their latents, and how well they are reconstructed."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.from_config import Data, make_prepare
from data_pipelines.pipeline import make_eval_batches
from qlae.program import Program
from qlae.training.feed import Feed
from qlae.training.layout import Layout
from qlae.training.state import Params


@dataclass(frozen=True)
class Encoding:
    """What a checkpoint makes of the evaluation images.

    Attributes:
        sources_NxS: int32 classes.
        latents_NxZ: int32 indices of discrete latents, float32 values of continuous ones.
        psnr_N: float32, decibels.
    """

    sources_NxS: np.ndarray
    latents_NxZ: np.ndarray
    psnr_N: np.ndarray


def make_encoder(
    program: Program, data: Data, layout: Layout, batch_size: int
) -> Callable[[Params], Encoding]:
    """Returns the function that encodes all evaluation images with given parameters.

    Batches are split over the mesh, the last padded under a mask; the parameters are not donated.
    """
    prepare, feed = make_prepare(data.dataset), Feed(layout)

    def encode_batch(params: Params, batch: dict[str, jax.Array]) -> tuple[jax.Array, ...]:
        model = program.merge(params)
        image = prepare(batch)
        codes = model.encode(image)
        decoded = jax.nn.sigmoid(model.decode(codes.z_hat).astype(jnp.float32))
        return codes.latents, compute_psnr(image, decoded), batch["mask"]

    jitted = jax.jit(encode_batch, out_shardings=layout.replicated)

    indices = data.split.test_indices

    def encode(params: Params) -> Encoding:
        latents, psnr = [], []
        for batch in make_eval_batches(
            data.dataset,
            indices,
            batch_size=batch_size,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        ):
            latents_b, psnr_b, mask_b = jitted(params, feed.put(batch))
            mask = np.asarray(mask_b)
            latents.append(np.asarray(latents_b)[mask])
            psnr.append(np.asarray(psnr_b)[mask])
        return Encoding(
            sources_NxS=data.dataset.spec.sources_at(indices)[:, data.split.scored_sources],
            latents_NxZ=np.concatenate(latents),
            psnr_N=np.concatenate(psnr),
        )

    return encode


def compute_psnr(image_BxHxWxC: jax.Array, decoded_BxHxWxC: jax.Array) -> jax.Array:
    """Returns the peak signal-to-noise ratio of each image, (B,) in dB, for values in [0, 1]."""
    error_B = jnp.mean((image_BxHxWxC - decoded_BxHxWxC) ** 2, axis=(1, 2, 3))
    return -10 * jnp.log10(jnp.maximum(error_B, 1e-10))
