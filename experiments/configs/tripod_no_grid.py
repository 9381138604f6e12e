"""Tripod (Hsu et al., 2024) without its grid: continuous latents under the other two terms.

    python -m experiments.train --workdir=DIR \\
        --config=experiments/configs/tripod_no_grid.py:shapes3d

Metrics see continuous latents here.
"""

from ml_collections import ConfigDict

from experiments.configs import tripod


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = tripod.get_config(dataset)
    config.arm = "tripod_no_grid"
    config.model.name = "ae"
    config.model.latents = {}
    return config
