"""QLAE without weight decay: half of the method, an ablation of the paper.

    python -m experiments.train --workdir=DIR \\
        --config=experiments/configs/qlae_no_weight_decay.py:shapes3d

Expect explicit codes, less modular than those of `qlae`.
"""

from ml_collections import ConfigDict

from experiments.configs import qlae


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = qlae.get_config(dataset)
    config.arm = "qlae_no_weight_decay"
    config.optimizer.weight_decay = 0.0
    return config
