"""Tripod (Hsu et al., 2024) without its Hessian penalty: an ablation with cheap steps.

    python -m experiments.train --workdir=DIR \\
        --config=experiments/configs/tripod_no_hessian.py:shapes3d

The term is not computed at all: a step costs what an autoencoder's does.
"""

from ml_collections import ConfigDict

from experiments.configs import tripod
from experiments.configs.base import set_weights


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = tripod.get_config(dataset)
    config.arm = "tripod_no_hessian"
    set_weights(config, {"normalized_hessian_penalty": None})
    del config.objective.probe
    return config
