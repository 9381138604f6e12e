"""Tripod (Hsu et al., 2024) without its multi-information term: an ablation of the paper.

    python -m experiments.train --workdir=DIR \\
        --config=experiments/configs/tripod_no_multi_information.py:shapes3d

The term is not computed at all.
"""

from ml_collections import ConfigDict

from experiments.configs import tripod
from experiments.configs.base import set_weights


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = tripod.get_config(dataset)
    config.arm = "tripod_no_multi_information"
    set_weights(config, {"multi_information": None})
    return config
