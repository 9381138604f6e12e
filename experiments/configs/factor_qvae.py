"""FactorQVAE (Baykal et al., 2024): one relaxed scalar codebook, latents kept independent.

    python -m experiments.train --config=experiments/configs/factor_qvae.py:shapes3d --workdir=DIR

Its own networks and training; half of a batch for each player. The authors count both players'
moves,
so their temperature falls twice as fast a batch as the exponent in their code says.
"""

from ml_collections import ConfigDict

from experiments.configs.base import make_autoencoder_config, pick
from experiments.configs.networks import make_bottleneck_networks

# The authors have no numbers for Falcor3D: it takes Isaac3D's, as the most like it.
UNIFORM_KL = {"shapes3d": 1e-3, "mpi3d_complex": 5e-5, "falcor3d": 5e-5, "isaac3d": 5e-5}
TOTAL_CORRELATION = {"shapes3d": 1e-4, "mpi3d_complex": 1e-6, "falcor3d": 5e-5, "isaac3d": 5e-5}


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    weights = {
        "uniform_kl": pick(dataset, UNIFORM_KL),
        "total_correlation": pick(dataset, TOTAL_CORRELATION),
    }
    config = make_autoencoder_config(
        "factor_qvae", dataset, weights=weights, reconstruction="squared_error"
    )
    config.num_steps = 50_000
    config.batch_size = 512
    config.model.encoder, config.model.decoder = make_bottleneck_networks()
    config.model.discriminator = {"dense": (1000,) * 5, "deviation": 0.02}
    config.model.latents = {"num_values": 64, "temperature": 1.0, "temperature_decay": 2e-5}
    config.optimizer.clip = None
    config.optimizer.cosine = {"steps": 50_000, "end": 1.25e-6}
    return config
