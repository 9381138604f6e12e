"""QLAE with Tripod's multi-information term (Hsu et al., 2024): does independence help?

    python -m experiments.train --workdir=DIR \\
        --config=experiments/configs/qlae_multi_information.py:shapes3d

One change to `qlae`. Its weight is that of `tripod`, tuned there for other networks.
"""

from ml_collections import ConfigDict

from experiments.configs import qlae
from experiments.configs.base import pick, set_weights
from experiments.configs.tripod import MULTI_INFORMATION


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = qlae.get_config(dataset)
    config.arm = "qlae_multi_information"
    set_weights(config, {"multi_information": pick(dataset, MULTI_INFORMATION)})
    return config
