"""Evaluation images through a model: their latents, and how well they are reconstructed."""

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
        indices_N: int64 grid positions.
        sources_NxS: int32 classes of the sources that metrics see.
        latents_NxZ: int32 indices of discrete latents, float32 values of continuous ones.
        z_hat_NxZ: float32, what the decoder reads: of scalar codes, straight-through floats.
        psnr_N: float32, decibels.
        bce_N: float32, cross entropy in nats, mean over pixels.
        gap_N: float32, by how much that is more than with latents before quantization (the
            straight-through gap of Friede et al., 2023); 0 without quantization.
    """

    indices_N: np.ndarray
    sources_NxS: np.ndarray
    latents_NxZ: np.ndarray
    z_hat_NxZ: np.ndarray
    psnr_N: np.ndarray
    bce_N: np.ndarray
    gap_N: np.ndarray


def make_encoder(
    program: Program, data: Data, layout: Layout, batch_size: int
) -> Callable[..., Encoding]:
    """Returns the function `encode(params, part="test")` of parameters and the name of a split.

    Batches are split over the mesh, the last padded under a mask; the parameters are not donated.
    """
    prepare, feed = make_prepare(data.dataset), Feed(layout)

    def encode_batch(params: Params, batch: dict[str, jax.Array]) -> tuple[jax.Array, ...]:
        model = program.merge(params)
        image = prepare(batch)
        codes = model.encode(image)
        logits = model.decode(codes.z_hat).astype(jnp.float32)
        bce_B = compute_bce(image, logits)
        gap_B = jnp.zeros_like(bce_B)
        if codes.z_quantized is not None:
            smooth = model.decode(codes.z_continuous).astype(jnp.float32)
            gap_B = bce_B - compute_bce(image, smooth)
        psnr_B = compute_psnr(image, jax.nn.sigmoid(logits))
        return codes.latents, codes.z_hat, psnr_B, bce_B, gap_B, batch["mask"]

    jitted = jax.jit(encode_batch, out_shardings=layout.replicated)

    def encode(params: Params, part: str = "test") -> Encoding:
        indices = data.split.get_indices(part)
        found = []
        for batch in make_eval_batches(
            data.dataset,
            indices,
            batch_size=batch_size,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        ):
            *columns, mask_b = map(np.asarray, jitted(params, feed.put(batch)))
            found.append([column[mask_b] for column in columns])
        latents, z_hat, psnr, bce, gap = (
            np.concatenate(columns) for columns in zip(*found, strict=True)
        )
        return Encoding(
            indices_N=indices,
            sources_NxS=data.dataset.spec.sources_at(indices)[:, data.split.scored_sources],
            latents_NxZ=latents,
            z_hat_NxZ=z_hat,
            psnr_N=psnr,
            bce_N=bce,
            gap_N=gap,
        )

    return encode


def compute_bce(image_BxHxWxC: jax.Array, logits_BxHxWxC: jax.Array) -> jax.Array:
    """Returns the sigmoid cross entropy of each image, (B,) in nats, mean over pixels."""
    entropy = jax.nn.softplus(logits_BxHxWxC) - image_BxHxWxC * logits_BxHxWxC
    return jnp.mean(entropy, axis=(1, 2, 3))


def compute_psnr(image_BxHxWxC: jax.Array, decoded_BxHxWxC: jax.Array) -> jax.Array:
    """Returns the peak signal-to-noise ratio of each image, (B,) in dB, for values in [0, 1]."""
    error_B = jnp.mean((image_BxHxWxC - decoded_BxHxWxC) ** 2, axis=(1, 2, 3))
    return -10 * jnp.log10(jnp.maximum(error_B, 1e-10))
