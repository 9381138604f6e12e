"""QLInfoWGAN-GP without weight decay, an ablation of the paper.

    python -m experiments.train --workdir=DIR \\
        --config=experiments/configs/qlinfo_wgan_gp_no_weight_decay.py:shapes3d

Expect codes less modular than those of `qlinfo_wgan_gp`.
"""

from ml_collections import ConfigDict

from experiments.configs import qlinfo_wgan_gp


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = qlinfo_wgan_gp.get_config(dataset)
    config.arm = "qlinfo_wgan_gp_no_weight_decay"
    config.optimizer.weight_decay = 0.0
    return config
