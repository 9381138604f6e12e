"""QLAE with one codebook for all latents, an ablation of the paper.

    python -m experiments.train --config=experiments/configs/qlae_global.py:shapes3d --workdir=DIR

Expect it to fall between the plain autoencoder and `qlae`.
"""

from ml_collections import ConfigDict

from experiments.configs import qlae


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = qlae.get_config(dataset)
    config.arm = "qlae_global"
    config.model.latents.shared = True
    return config
