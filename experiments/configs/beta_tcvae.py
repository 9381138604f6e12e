"""beta-TCVAE: the KL split in three, its total correlation weighted.

    python -m experiments.train --config=experiments/configs/beta_tcvae.py:shapes3d --workdir=DIR

Expect total correlation to be the term that moves; the estimate needs the global batch.
"""

from ml_collections import ConfigDict

from experiments.configs.base import make_autoencoder_config, pick

TOTAL_CORRELATION = {"shapes3d": 3, "mpi3d_complex": 0.3, "falcor3d": 3, "isaac3d": 1}


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    weights = {
        "mutual_information": 1.0,
        "total_correlation": float(pick(dataset, TOTAL_CORRELATION)),
        "dimension_wise_kl": 1.0,
    }
    return make_autoencoder_config("beta_tcvae", dataset, weights=weights)
