"""FactorDVAE (Baykal et al., 2024): as FactorQVAE, the encoder giving a logit for every value.

    python -m experiments.train --config=experiments/configs/factor_dvae.py:shapes3d --workdir=DIR

The encoder's head is as many times as wide as there are values; near values need not have near
probabilities, as they have in `factor_qvae`.
"""

from ml_collections import ConfigDict

from experiments.configs import factor_qvae
from experiments.configs.base import pick

# Weights from the authors' code; Falcor3D takes Isaac3D's.
UNIFORM_KL = {"shapes3d": 5e-3, "mpi3d_complex": 5e-5, "falcor3d": 1e-5, "isaac3d": 1e-5}
TOTAL_CORRELATION = {"shapes3d": 5e-4, "mpi3d_complex": 5e-6, "falcor3d": 1e-5, "isaac3d": 1e-5}


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    config = factor_qvae.get_config(dataset)
    config.arm = config.model.name = "factor_dvae"
    config.weights.uniform_kl = pick(dataset, UNIFORM_KL)
    config.weights.total_correlation = pick(dataset, TOTAL_CORRELATION)
    return config
