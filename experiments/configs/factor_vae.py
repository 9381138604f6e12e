"""FactorVAE (Kim and Mnih, 2018): continuous latents whose dependence a discriminator finds.

    python -m experiments.train --config=experiments/configs/factor_vae.py:shapes3d --workdir=DIR

QLAE's networks, the paper's optimizers; half of a batch for each player. The weight of total
correlation is 10, the least of those that Locatello et al. (2019) try, up to 100.
Expect `discriminator/loss/total` to begin near 0.69.
"""

from ml_collections import ConfigDict

from experiments.configs.base import make_autoencoder_config


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    weights = {"kl": 1.0, "total_correlation": 10.0}
    config = make_autoencoder_config("factor_vae", dataset, weights=weights)
    config.model.discriminator = {"dense": (1000,) * 6}
    config.optimizer.learning_rate = 1e-4
    config.optimizer.players = {"discriminator": {"learning_rate": 1e-4, "b1": 0.5, "b2": 0.9}}
    return config
