"""InfoWGAN-GP on an FSQ grid (Mentzer et al., 2023): the generator reads fixed values.

    python -m experiments.train --workdir=DIR \\
        --config=experiments/configs/fsq_info_wgan_gp.py:shapes3d

`qlinfo_wgan_gp` with a grid for its codebooks.
"""

from ml_collections import ConfigDict

from experiments.configs.base import make_gan_config, pick
from experiments.configs.qlinfo_wgan_gp import WEIGHT_DECAY


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    weight_decay = pick(dataset, WEIGHT_DECAY)
    config = make_gan_config("fsq_info_wgan_gp", dataset, weights={}, weight_decay=weight_decay)
    config.model.latents = {"levels": (10,), "shift": "tan"}
    return config
