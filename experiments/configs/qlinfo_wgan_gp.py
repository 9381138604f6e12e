"""QLInfoWGAN-GP: the generator reads values of scalar codebooks that it helps to move.

    python -m experiments.train --workdir=DIR \\
        --config=experiments/configs/qlinfo_wgan_gp.py:shapes3d

Expect what `info_wgan_gp` shows, with codes that are more modular.
"""

from ml_collections import ConfigDict

from experiments.configs.base import make_gan_config, pick

WEIGHT_DECAY = {"shapes3d": 1e-3, "mpi3d_complex": 1e-3, "falcor3d": 1e-4, "isaac3d": 1e-3}


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = make_gan_config(
        "qlinfo_wgan_gp",
        dataset,
        weights={"quantize": 0.01, "commit": 0.01},
        weight_decay=pick(dataset, WEIGHT_DECAY),
    )
    config.model.latents = {"num_values": 10, "shared": False, "learnable": True}
    return config
