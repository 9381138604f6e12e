"""BioAE: non-negative latents with little activity.

    python -m experiments.train --config=experiments/configs/bio_ae.py:shapes3d --workdir=DIR

Expect the non-negativity term to vanish early and activity to trade against reconstruction.
"""

from ml_collections import ConfigDict

from experiments.configs.base import make_autoencoder_config, pick

ACTIVITY = {"shapes3d": 0.01, "mpi3d_complex": 0.01, "falcor3d": 0.01, "isaac3d": 0.1}


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    weights = {"nonnegative": 1.0, "activity": pick(dataset, ACTIVITY)}
    return make_autoencoder_config("bio_ae", dataset, weights=weights, weight_decay=1e-4)
