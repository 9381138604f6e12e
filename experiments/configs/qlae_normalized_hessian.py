"""QLAE with Tripod's Hessian penalty (Hsu et al., 2024): does a decoder without mixing help?

    python -m experiments.train --workdir=DIR \\
        --config=experiments/configs/qlae_normalized_hessian.py:shapes3d

One change to `qlae`. Its weight is that of `tripod`, tuned there for other networks. Each step
also decodes nine times as many images as an autoencoder's, in float32.
"""

from ml_collections import ConfigDict

from experiments.configs import qlae
from experiments.configs.base import pick, set_weights
from experiments.configs.tripod import NORMALIZED_HESSIAN, PROBE


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = qlae.get_config(dataset)
    config.arm = "qlae_normalized_hessian"
    set_weights(config, {"normalized_hessian_penalty": pick(dataset, NORMALIZED_HESSIAN)})
    config.objective.probe = dict(PROBE)
    return config
