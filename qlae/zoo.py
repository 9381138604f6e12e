"""The zoo: one row per kind of model, and what turns a config into it.

A new model is one row here and one config. Options of a row (one codebook for all latents, no
weight decay) stand in the config alone.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from qlae.common.factories import build, build_named, get_named
from qlae.families import AUTOENCODER, CENTERED, CENTERED_FACTOR, FACTOR, INFO_GAN, Family
from qlae.latents.base import Latents
from qlae.latents.continuous import GaussianLatents, PointLatents
from qlae.latents.relaxed import CategoricalLatents, RelaxedScalarLatents
from qlae.latents.rounded import FSQLatents, GridLatents
from qlae.latents.scalar import ScalarLatents
from qlae.latents.vector import VectorLatents
from qlae.models.base import Model
from qlae.nn.networks import DECODERS, ENCODERS
from qlae.objectives.player import Player
from qlae.objectives.terms import TERMS, check_weights


@dataclass(frozen=True)
class Row:
    """One kind of model.

    Attributes:
        family: autoencoder or InfoGAN, or one of their kin.
        latents: (num_latents, **config.model.latents) -> latents.
        terms: of `qlae.objectives.terms`, the loss terms beside the family's.
    """

    family: Family
    latents: Callable[..., Latents]
    terms: tuple[str, ...] = ()


_QUANTIZED = ("quantize", "commit")
_KL_SPLIT = ("mutual_information", "total_correlation", "dimension_wise_kl")

ZOO: dict[str, Row] = {
    "ae": Row(AUTOENCODER, PointLatents),
    "beta_vae": Row(AUTOENCODER, GaussianLatents, ("kl",)),
    "beta_tcvae": Row(AUTOENCODER, GaussianLatents, _KL_SPLIT),
    "bio_ae": Row(AUTOENCODER, PointLatents, ("nonnegative", "activity")),
    "vq_vae": Row(AUTOENCODER, VectorLatents, _QUANTIZED),
    "qlae": Row(AUTOENCODER, ScalarLatents, _QUANTIZED),
    "fsq": Row(AUTOENCODER, FSQLatents),
    "tripod": Row(AUTOENCODER, GridLatents),
    "factor_vae": Row(FACTOR, GaussianLatents, ("kl",)),
    "qvae": Row(CENTERED, RelaxedScalarLatents, ("uniform_kl",)),
    "factor_qvae": Row(CENTERED_FACTOR, RelaxedScalarLatents, ("uniform_kl",)),
    "dvae": Row(CENTERED, CategoricalLatents, ("uniform_kl",)),
    "factor_dvae": Row(CENTERED_FACTOR, CategoricalLatents, ("uniform_kl",)),
    "info_wgan_gp": Row(INFO_GAN, PointLatents),
    "qlinfo_wgan_gp": Row(INFO_GAN, ScalarLatents, _QUANTIZED),
    "fsq_info_wgan_gp": Row(INFO_GAN, FSQLatents),
    "grid_info_wgan_gp": Row(INFO_GAN, GridLatents),
}


def make_model(config: ConfigDict, *, image_shape: tuple[int, int, int], num_latents: int) -> Model:
    """Builds the model of `config.model`, its random parameters zeros until `draw_params`.

    Raises:
        UserError: unknown model, encoder or decoder, or options that one does not take.
    """
    row = get_named("model", ZOO, config.model.name)
    dtype = jnp.dtype(config.compute_dtype)
    options = config.model.to_dict()
    latents = build("config.model.latents", row.latents, options["latents"], num_latents)
    sizes: dict[str, Any] = {
        "encoder": (ENCODERS, image_shape, latents.num_encoder_out),
        "decoder": (DECODERS, latents.num_decoder_in, image_shape),
    }
    encoder, decoder = (
        build_named(f"config.model.{kind}", table, options[kind], *rest, dtype=dtype)
        for kind, (table, *rest) in sizes.items()
    )
    parts = {name: options[name] for name in row.family.parts if name in options}
    return build("config.model", row.family.model, parts, encoder, latents, decoder, dtype=dtype)


def make_players(config: ConfigDict, model: Model, *, dataset_size: int) -> tuple[Player, ...]:
    """Builds who is trained on what.

    Args:
        config: `model.name`, `weights` and `objective` are read.
        model: what `make_model` gives for it; only shapes are read.
        dataset_size: number of training images, which beta-TCVAE's estimate needs.

    Raises:
        UserError: a weight without its term, a term without its weight, an unknown option.
    """
    row = get_named("model", ZOO, config.model.name)
    family, weights = row.family, tuple(config.weights)
    check_weights(config.model.name, family.terms + row.terms, family.optional, weights)
    added = tuple(name for name in family.optional if name in weights)
    terms = tuple(name for name in family.terms if name in TERMS) + row.terms + added
    make = functools.partial(family.make_players, dataset_size=dataset_size)
    return build("config.objective", make, config.objective.to_dict(), terms, model)
