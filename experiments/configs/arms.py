"""The rows of the paper's tables and what came after it, each a config file beside this one."""

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
PAPER = AUTOENCODERS + GANS
# What came after: first on QLAE's networks and training, one change each.
ON_QLAE = ("fsq", "qlae_grid", "qlae_multi_information", "qlae_normalized_hessian")
TRIPOD = (
    "tripod",
    "tripod_naive",
    "tripod_no_multi_information",
    "tripod_no_hessian",
    "tripod_no_grid",
)
FACTOR = ("factor_vae", "factor_qvae", "qvae", "factor_dvae", "dvae")
BEYOND = ON_QLAE + TRIPOD + FACTOR
BEYOND_GANS = ("fsq_info_wgan_gp",)
ARMS = PAPER + BEYOND + BEYOND_GANS


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
