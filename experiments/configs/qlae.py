"""QLAE, the paper's model: a separate learnable scalar codebook per latent, high weight decay.

    python -m experiments.train --config=experiments/configs/qlae.py:shapes3d --workdir=DIR

200,000 steps of batch 128. Expect reconstruction to fall fast and the codes to settle within the
first tenth; modularity keeps rising until the end.
"""

from ml_collections import ConfigDict

from experiments.configs.base import make_autoencoder_config, pick

WEIGHT_DECAY = {"shapes3d": 0.1, "mpi3d_complex": 0.001, "falcor3d": 0.1, "isaac3d": 0.1}


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = make_autoencoder_config(
        "qlae",
        dataset,
        weights={"quantize": 0.01, "commit": 0.01},
        weight_decay=pick(dataset, WEIGHT_DECAY),
    )
    config.model.latents = {"num_values": 10, "shared": False, "learnable": True}
    return config
