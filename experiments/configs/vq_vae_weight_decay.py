"""VQ-VAE with weight decay: half of the method, on vectors.

    python -m experiments.train --workdir=DIR \\
        --config=experiments/configs/vq_vae_weight_decay.py:shapes3d

Expect it to differ little from `vq_vae`: weight decay alone does not disentangle.
"""

from ml_collections import ConfigDict

from experiments.configs import vq_vae
from experiments.configs.base import pick

WEIGHT_DECAY = {"shapes3d": 0.01, "mpi3d_complex": 0.01, "falcor3d": 0.01, "isaac3d": 0.01}


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = vq_vae.get_config(dataset)
    config.arm = "vq_vae_weight_decay"
    config.optimizer.weight_decay = pick(dataset, WEIGHT_DECAY)
    return config
