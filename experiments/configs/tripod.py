"""Tripod (Hsu et al., 2024): a grid, independent latents, a decoder that mixes none of them.

    python -m experiments.train --config=experiments/configs/tripod.py:shapes3d --workdir=DIR

Its own networks and training. Each step also decodes nine times as many images as an autoencoder's,
in float32. The penalty is a ratio with heavy tails: two directions that agree give an image none.
"""

from ml_collections import ConfigDict

from experiments.configs.base import make_autoencoder_config, pick
from experiments.configs.networks import make_residual_networks

MULTI_INFORMATION = {
    "shapes3d": 1e-4,
    "mpi3d_complex": 1e-8,
    "falcor3d": 1e-10,
    "isaac3d": 1e-4,
}
NORMALIZED_HESSIAN = {
    "shapes3d": 1e-2,
    "mpi3d_complex": 1e-4,
    "falcor3d": 1e-2,
    "isaac3d": 1e-8,
}
# Two directions of a tenth of a standard deviation; no names: all activations but the logits.
PROBE = {"count": 2, "size": 0.1, "activations": ()}


def get_config(dataset: str = "shapes3d_rendered") -> ConfigDict:
    """Returns the config for a dataset of `data_pipelines.specs`."""
    weights = {
        "multi_information": pick(dataset, MULTI_INFORMATION),
        "normalized_hessian_penalty": pick(dataset, NORMALIZED_HESSIAN),
    }
    config = make_autoencoder_config("tripod", dataset, weights=weights)
    config.num_steps = 250_000
    config.checkpoint_every = 10_000
    config.batch_size = 64
    config.model.encoder, config.model.decoder = make_residual_networks()
    config.model.latents = {"levels": (12,)}
    config.objective.probe = dict(PROBE)
    config.optimizer.learning_rate = 2e-4
    config.optimizer.clip_all = True  # biases too
    return config
