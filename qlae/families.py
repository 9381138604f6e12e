"""Families of models: what their networks are put together to, and who is trained on what."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from qlae.models import autoencoder as models
from qlae.models.base import Model
from qlae.models.info_gan import InfoGAN
from qlae.objectives.autoencoder import make_autoencoder_players
from qlae.objectives.factor import make_factor_players
from qlae.objectives.info_gan import make_info_gan_players
from qlae.objectives.player import Player


@dataclass(frozen=True)
class Family:
    """What the models of a family share, whatever their latents.

    Attributes:
        model: (encoder, latents, decoder, dtype=, **parts) -> the model.
        make_players: (terms, model, dataset_size=, **config.objective) -> who is trained on what.
        terms: the loss terms that every model of the family has.
        optional: those that a config may add to any of them, by a weight.
        parts: entries of `config.model` that are options of the model itself.
        halves_batch: whether each player sees half of a batch, which has to be even.
    """

    model: Callable[..., Model]
    make_players: Callable[..., tuple[Player, ...]]
    terms: tuple[str, ...]
    optional: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    halves_batch: bool = False


_TRIPOD = ("multi_information", "hessian_penalty", "normalized_hessian_penalty")

AUTOENCODER = Family(models.Autoencoder, make_autoencoder_players, ("reconstruction",), _TRIPOD)
CENTERED = Family(models.CenteredAutoencoder, make_autoencoder_players, ("squared_error",), _TRIPOD)
FACTOR = Family(
    models.FactorAutoencoder,
    make_factor_players,
    ("reconstruction", "total_correlation"),
    _TRIPOD,
    parts=("discriminator",),
    halves_batch=True,
)
CENTERED_FACTOR = replace(
    FACTOR,
    model=models.CenteredFactorAutoencoder,
    make_players=functools.partial(make_factor_players, per_pixel=False),
    terms=("squared_error", "total_correlation"),
)
INFO_GAN = Family(InfoGAN, make_info_gan_players, ("value", "gradient", "latent"))
