"""FSQ (Mentzer et al., 2023): a fixed grid and no codebook, for codes in use and no extra loss.

    python -m experiments.train --config=experiments/configs/fsq.py:shapes3d --workdir=DIR

QLAE's networks, training and weight decay, so that only the latents differ.
"""

from ml_collections import ConfigDict

from experiments.configs.base import make_autoencoder_config, pick
from experiments.configs.qlae import WEIGHT_DECAY


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    weight_decay = pick(dataset, WEIGHT_DECAY)
    config = make_autoencoder_config("fsq", dataset, weights={}, weight_decay=weight_decay)
    # One number of levels for all latents, or one for each; `tan` is the paper's half-shift.
    config.model.latents = {"levels": (10,), "shift": "tan"}
    return config
