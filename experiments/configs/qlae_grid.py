"""QLAE with Tripod's fixed grid (Hsu et al., 2024) for codebooks: does learning them matter?

    python -m experiments.train --config=experiments/configs/qlae_grid.py:shapes3d --workdir=DIR

One change to `qlae`, with as many values; there is no quantize or commit loss.
"""

from ml_collections import ConfigDict

from experiments.configs.base import make_autoencoder_config, pick
from experiments.configs.qlae import WEIGHT_DECAY


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    weight_decay = pick(dataset, WEIGHT_DECAY)
    config = make_autoencoder_config("tripod", dataset, weights={}, weight_decay=weight_decay)
    config.arm = "qlae_grid"
    config.model.latents = {"levels": (10,)}
    return config
