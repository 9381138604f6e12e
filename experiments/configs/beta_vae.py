"""beta-VAE: the KL to the prior, weighted by beta.

    python -m experiments.train --config=experiments/configs/beta_vae.py:shapes3d --workdir=DIR

Expect latents to switch off one after the other as beta wins over reconstruction.
"""

from ml_collections import ConfigDict

from experiments.configs.base import make_autoencoder_config, pick

BETA = {"shapes3d": 3, "mpi3d_complex": 0.1, "falcor3d": 10, "isaac3d": 0.3}


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = make_autoencoder_config(
        "beta_vae", dataset, weights={"kl": float(pick(dataset, BETA))}
    )
    config.objective.warmup_steps = {"kl": 0}  # beta grows linearly from 0 over so many steps
    return config
