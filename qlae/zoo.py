"""The zoo: one row per kind of model, and what turns a config into it.

A new model is one row here and one config. Options of a row (one codebook for all latents, no
weight decay) stand in the config alone.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from qlae.common.errors import UserError, make_unknown_name_error
from qlae.latents.base import Latents
from qlae.latents.continuous import GaussianLatents, PointLatents
from qlae.latents.scalar import ScalarLatents
from qlae.latents.vector import VectorLatents
from qlae.models.autoencoder import Autoencoder
from qlae.models.base import Model
from qlae.models.info_gan import InfoGAN
from qlae.nn.decoders import DECODERS
from qlae.nn.encoders import ENCODERS
from qlae.objectives.autoencoder import make_autoencoder_players
from qlae.objectives.info_gan import make_info_gan_players
from qlae.objectives.player import Player


@dataclass(frozen=True)
class Family:
    """What the models of a family share, whatever their latents.

    Attributes:
        model: (encoder, latents, decoder, dtype=) -> the model.
        make_players: (terms, dataset_size=, **config.objective) -> who is trained on what.
        terms: the loss terms that every model of the family has.
    """

    model: Callable[..., Model]
    make_players: Callable[..., tuple[Player, ...]]
    terms: tuple[str, ...]


AUTOENCODER = Family(Autoencoder, make_autoencoder_players, ("reconstruction",))
INFO_GAN = Family(InfoGAN, make_info_gan_players, ("value", "gradient", "latent"))


@dataclass(frozen=True)
class Row:
    """One kind of model.

    Attributes:
        family: autoencoder or InfoGAN.
        latents: (num_latents, **config.model.latents) -> latents.
        terms: of `qlae.objectives.terms`, the loss terms beside the family's.
    """

    family: Family
    latents: Callable[..., Latents]
    terms: tuple[str, ...] = ()

    @property
    def weights(self) -> tuple[str, ...]:
        """The loss terms, each of which needs an entry of `config.weights`."""
        return self.family.terms + self.terms


_QUANTIZED = ("quantize", "commit")
_KL_SPLIT = ("mutual_information", "total_correlation", "dimension_wise_kl")

ZOO: dict[str, Row] = {
    "ae": Row(AUTOENCODER, PointLatents),
    "beta_vae": Row(AUTOENCODER, GaussianLatents, ("kl",)),
    "beta_tcvae": Row(AUTOENCODER, GaussianLatents, _KL_SPLIT),
    "bio_ae": Row(AUTOENCODER, PointLatents, ("nonnegative", "activity")),
    "vq_vae": Row(AUTOENCODER, VectorLatents, _QUANTIZED),
    "qlae": Row(AUTOENCODER, ScalarLatents, _QUANTIZED),
    "info_wgan_gp": Row(INFO_GAN, PointLatents),
    "qlinfo_wgan_gp": Row(INFO_GAN, ScalarLatents, _QUANTIZED),
}


def make_model(
    config: ConfigDict,
    *,
    image_shape: tuple[int, int, int],
    num_latents: int,
) -> Model:
    """Builds the model of `config.model`, its random parameters zeros until `draw_params`.

    Raises:
        UserError: unknown model, encoder or decoder, or options that one does not take.
    """
    row = _get("model", ZOO, config.model.name)
    dtype = jnp.dtype(config.compute_dtype)
    options = config.model.latents.to_dict()
    latents = _build("config.model.latents", row.latents, options, num_latents)
    networks = (
        ("encoder", ENCODERS, image_shape, latents.num_encoder_out),
        ("decoder", DECODERS, latents.num_decoder_in, image_shape),
    )
    encoder, decoder = (
        _build_named(kind, table, config.model[kind], *sizes, dtype=dtype)
        for kind, table, *sizes in networks
    )
    return row.family.model(encoder, latents, decoder, dtype=dtype)


def make_players(config: ConfigDict, *, dataset_size: int) -> tuple[Player, ...]:
    """Builds who is trained on what.

    Args:
        config: `model.name`, `weights` and `objective` are read.
        dataset_size: number of training images, which beta-TCVAE's estimate needs.

    Raises:
        UserError: a weight without its term, a term without its weight, an unknown option.
    """
    row = _get("model", ZOO, config.model.name)
    _check_weights(config.model.name, row.weights, config.weights)
    make = functools.partial(row.family.make_players, dataset_size=dataset_size)
    return _build("config.objective", make, config.objective.to_dict(), row.terms)


def _check_weights(name: str, terms: Iterable[str], weights: Iterable[str]) -> None:
    has = f"the loss terms of {name} are {', '.join(terms)}"
    for weight in weights:
        if weight not in terms:
            raise UserError(f"config.weights.{weight}: there is no such term; {has}")
    for term in terms:
        if term not in weights:
            raise UserError(f"config.weights lacks {term!r}; {has}")


def _get(kind: str, table: Mapping[str, Any], name: str) -> Any:
    if name not in table:
        raise make_unknown_name_error(kind, name, table)
    return table[name]


def _build_named(kind: str, table: Mapping[str, Callable], config: ConfigDict, *args, **kwargs):
    """Builds what `config.name` names, from the config's other entries."""
    options = config.to_dict()
    factory = _get(kind, table, options.pop("name"))
    return _build(f"config.model.{kind}", factory, options, *args, **kwargs)


def _build(where: str, factory: Callable, options: Mapping[str, Any], *args, **kwargs):
    """Calls a factory; options that it does not take are the user's mistake, not a traceback."""
    try:
        return factory(*args, **kwargs, **options)
    except TypeError as error:
        if "keyword" not in str(error):
            raise
        raise UserError(f"{where} {dict(options)}: {str(error).splitlines()[0]}") from error
