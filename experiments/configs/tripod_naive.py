"""Tripod with the plain Hessian penalty (Hsu et al., 2024): shows what normalising it brings.

    python -m experiments.train --config=experiments/configs/tripod_naive.py:shapes3d --workdir=DIR

The weight is the normalised penalty's, for want of a published one. The plain penalty falls as
activations shrink, whatever they mix.
"""

from ml_collections import ConfigDict

from experiments.configs import tripod
from experiments.configs.base import set_weights


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = tripod.get_config(dataset)
    config.arm = "tripod_naive"
    weight = config.weights.normalized_hessian_penalty
    set_weights(config, {"normalized_hessian_penalty": None, "hessian_penalty": weight})
    return config
