"""The plain autoencoder: QLAE without quantization.

    python -m experiments.train --config=experiments/configs/ae.py:shapes3d --workdir=DIR

Expect the best reconstruction of all and latents that mix sources.
"""

from ml_collections import ConfigDict

from experiments.configs.base import make_autoencoder_config, pick

# The paper tunes the two it reports; the other two take the value both share.
WEIGHT_DECAY = dict.fromkeys(("shapes3d", "mpi3d_complex", "falcor3d", "isaac3d"), 0.001)


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    return make_autoencoder_config(
        "ae", dataset, weights={}, weight_decay=pick(dataset, WEIGHT_DECAY)
    )
