"""InfoWGAN-GP: latents uniform on [0, 1), found again by an encoder.

    python -m experiments.train --config=experiments/configs/info_wgan_gp.py:shapes3d --workdir=DIR

Expect a negative critic value that shrinks in size, and samples worth a look after some
thousand steps.
"""

from ml_collections import ConfigDict

from experiments.configs.base import make_gan_config, pick

WEIGHT_DECAY = {"shapes3d": 1e-4, "mpi3d_complex": 1e-4, "falcor3d": 1e-4, "isaac3d": 1e-4}


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    return make_gan_config(
        "info_wgan_gp", dataset, weights={}, weight_decay=pick(dataset, WEIGHT_DECAY)
    )
