"""The zoo: one row per model of the paper, and the builders that turn a config into one.

A new autoencoder is one row here and one config; only this module and the data builders see a
ConfigDict, everything below takes plain arguments.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from ml_collections import ConfigDict

from qlae.common.errors import UserError, make_unknown_name_error
from qlae.latents.base import Codes, Latents
from qlae.latents.continuous import GaussianLatents, PointLatents
from qlae.latents.scalar import ScalarLatents
from qlae.latents.vector import VectorLatents
from qlae.models.autoencoder import Autoencoder
from qlae.models.info_gan import InfoGAN
from qlae.nn.blocks import make_linear
from qlae.nn.decoders import DECODERS
from qlae.nn.encoders import ENCODERS
from qlae.objectives import latent
from qlae.objectives.autoencoder import make_autoencoder_players
from qlae.objectives.info_gan import make_info_gan_players
from qlae.objectives.player import Metrics, Player

COMPUTE_DTYPES = ("float32", "bfloat16", "float64")


@dataclass(frozen=True)
class Row:
    """One model: what its latents are and which terms its loss has beside reconstruction.

    Attributes:
        summary: one line for `--list`.
        latents: keyword arguments of `config.model.latents` -> latents.
        terms: (codes, **options) -> loss terms; `config.objective` gives the options.
        gan: an InfoGAN rather than an autoencoder.
        per_pixel: the terms are divided by the size of an image.
    """

    summary: str
    latents: Callable[..., Latents]
    terms: Callable[..., Metrics]
    gan: bool = False
    per_pixel: bool = False


def _no_terms(codes: Codes) -> Metrics:
    return {}


def _kl(codes: Codes) -> Metrics:
    return {"kl": latent.compute_kl(codes)}


def _biological(codes: Codes) -> Metrics:
    return {
        "nonnegative": latent.compute_nonnegative(codes),
        "activity": latent.compute_activity(codes),
    }


def _quantization(codes: Codes) -> Metrics:
    return {"quantize": latent.compute_quantize(codes), "commit": latent.compute_commit(codes)}


_SharedScalarLatents = functools.partial(ScalarLatents, shared=True)

ZOO: dict[str, Row] = {
    "ae": Row("autoencoder with continuous latents", PointLatents, _no_terms),
    "beta_vae": Row(
        "beta-VAE: Gaussian latents, weighted KL", GaussianLatents, _kl, per_pixel=True
    ),
    "beta_tcvae": Row(
        "beta-TCVAE: the KL split, total correlation weighted",
        GaussianLatents,
        latent.compute_kl_decomposition,
        per_pixel=True,
    ),
    "bio_ae": Row("BioAE: non-negative, low-activity latents", PointLatents, _biological),
    "vq_vae": Row("VQ-VAE: one shared codebook of embeddings", VectorLatents, _quantization),
    "qlae": Row("QLAE: a scalar codebook per latent", ScalarLatents, _quantization),
    "qlae_global": Row(
        "QLAE with one scalar codebook for all latents", _SharedScalarLatents, _quantization
    ),
    "info_wgan_gp": Row("InfoWGAN-GP: uniform latents", PointLatents, _no_terms, gan=True),
    "qlinfo_wgan_gp": Row(
        "QLInfoWGAN-GP: latents drawn from scalar codebooks", ScalarLatents, _quantization, gan=True
    ),
}


def get_row(name: str) -> Row:
    """Returns the zoo's row for a model name; an unknown one raises `UserError`."""
    if name not in ZOO:
        raise make_unknown_name_error("model", name, ZOO)
    return ZOO[name]


def make_model(
    config: ConfigDict,
    *,
    image_shape: tuple[int, int, int],
    num_latents: int,
    rngs: nnx.Rngs,
) -> Autoencoder | InfoGAN:
    """Builds the model of `config.model`, its parameters drawn from `rngs`.

    Raises:
        UserError: unknown model, encoder, decoder or dtype, or an option that one does not take.
    """
    row = get_row(config.model.name)
    if config.compute_dtype not in COMPUTE_DTYPES:
        raise make_unknown_name_error("compute_dtype", config.compute_dtype, COMPUTE_DTYPES)
    shared: dict[str, Any] = {"dtype": jnp.dtype(config.compute_dtype), "rngs": rngs}
    latents = _build(
        "config.model.latents", row.latents, config.model.latents.to_dict(), num_latents, rngs=rngs
    )
    encoder = _build_named(
        "encoder", ENCODERS, config.model.encoder, image_shape, latents.num_encoder_out, **shared
    )
    decoder = _build_named(
        "decoder", DECODERS, config.model.decoder, latents.num_decoder_in, image_shape, **shared
    )
    if not row.gan:
        return Autoencoder(encoder, latents, decoder)
    critic = make_linear(encoder.mlp.num_out, 1, **shared)
    return InfoGAN(encoder, critic, latents, decoder)


def make_players(config: ConfigDict, *, dataset_size: int) -> tuple[Player, ...]:
    """Builds who is trained on what, from `config.model.name` and `config.objective`.

    Args:
        config: the run's config.
        dataset_size: number of training images, which beta-TCVAE's estimate needs.
    """
    row = get_row(config.model.name)
    terms: Callable[[Codes], Metrics] = row.terms
    if row.terms is latent.compute_kl_decomposition:
        terms = functools.partial(latent.compute_kl_decomposition, dataset_size=dataset_size)
    options = config.objective.to_dict()
    if row.gan:
        return _build("config.objective", make_info_gan_players, options, terms)
    return _build(
        "config.objective", make_autoencoder_players, options, terms, per_pixel=row.per_pixel
    )


def _build_named(kind: str, table: dict[str, Callable], options: ConfigDict, *args, **kwargs):
    options = options.to_dict()
    name = options.pop("name")
    if name not in table:
        raise make_unknown_name_error(kind, name, table)
    return _build(f"config.model.{kind}", table[name], options, *args, **kwargs)


def _build(where: str, factory: Callable, options, *args, **kwargs):
    """Calls a factory; options that it does not take are the user's mistake, not a traceback."""
    try:
        return factory(*args, **kwargs, **options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise UserError(f"{where} {dict(options)}: {error}") from error
