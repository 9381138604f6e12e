"""QVAE (Baykal et al., 2024): FactorQVAE without discriminator, to see what independence brings.

    python -m experiments.train --config=experiments/configs/qvae.py:shapes3d --workdir=DIR

All of a batch is for the one player. The learning rate rises again after half of the steps, as the
authors' does.
"""

from ml_collections import ConfigDict

from experiments.configs import factor_qvae
from experiments.configs.base import set_weights


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    return drop_discriminator(factor_qvae.get_config(dataset), "qvae")


def drop_discriminator(config: ConfigDict, name: str) -> ConfigDict:
    """Returns the config of a factor model's autoencoder alone, trained as its authors do."""
    config.arm = config.model.name = name
    set_weights(config, {"total_correlation": None})
    del config.model.discriminator
    config.num_steps = 100_000
    config.batch_size = 256
    config.model.latents.temperature_decay = 1e-5
    return config
