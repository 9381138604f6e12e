"""DVAE (Baykal et al., 2024): a categorical VAE of scalar values, FactorDVAE without discriminator.

    python -m experiments.train --config=experiments/configs/dvae.py:shapes3d --workdir=DIR

All of a batch is for the one player.
"""

from ml_collections import ConfigDict

from experiments.configs import factor_dvae
from experiments.configs.qvae import drop_discriminator


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    return drop_discriminator(factor_dvae.get_config(dataset), "dvae")
