"""The rows of the paper's tables, each a config file beside this one."""

import importlib
from types import ModuleType

from ml_collections import ConfigDict

from qlae.common.errors import make_unknown_name_error

AUTOENCODERS = (
    "ae",
    "beta_vae",
    "beta_tcvae",
    "bio_ae",
    "vq_vae",
    "vq_vae_weight_decay",
    "qlae_global",
    "qlae_no_weight_decay",
    "qlae",
)
GANS = ("info_wgan_gp", "qlinfo_wgan_gp_no_weight_decay", "qlinfo_wgan_gp")
ARMS = AUTOENCODERS + GANS


def get_arm_config(arm: str, dataset: str) -> ConfigDict:
    """Returns the paper-scale config of a row for a dataset.

    Raises:
        UserError: no such row or dataset.
    """
    return get_arm_module(arm).get_config(dataset)


def get_arm_module(arm: str) -> ModuleType:
    """Returns the module of a row, whose docstring says what it is.

    Raises:
        UserError: no such row.
    """
    if arm not in ARMS:
        raise make_unknown_name_error("arm", arm, ARMS)
    return importlib.import_module(f"experiments.configs.{arm}")
