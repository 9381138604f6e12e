"""VQ-VAE: 512 embeddings of size 64, shared by all latents; no weight decay.

    python -m experiments.train --config=experiments/configs/vq_vae.py:shapes3d --workdir=DIR

Expect good reconstruction and latents that mean little one by one.
"""

from ml_collections import ConfigDict

from experiments.configs.base import make_autoencoder_config

CODEBOOK = {"num_values": 512, "embedding_size": 64}


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = make_autoencoder_config(
        "vq_vae", dataset, weights={"quantize": 1.0, "commit": 0.25}, weight_decay=0.0
    )
    config.model.latents = dict(CODEBOOK)
    return config
