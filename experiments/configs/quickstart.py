"""A small QLAE that learns on two cores in minutes: what `make run` trains.

    python -m experiments.train --config=experiments/configs/quickstart.py --workdir=DIR
    python -m experiments.train --config=experiments/configs/quickstart.py:ae --workdir=DIR
"""

import importlib

from ml_collections import ConfigDict

from qlae.zoo import get_row


def get_config(model: str = "qlae") -> ConfigDict:
    """Returns the small config of a model of the zoo, on 16x16 rendered Shapes3D."""
    get_row(model)
    config = importlib.import_module(f"experiments.configs.{model}").get_config("shapes3d_rendered")
    config.num_steps = 8_000
    config.checkpoint_every = 1_000
    config.batch_size = 64
    config.data.image_size = 16
    config.model.encoder = _layers("image_small", (32, 64))
    config.model.decoder = _layers("style_image_small", (64, 32))
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 0.3 if model == "qlae" else 0.0
    return config


def _layers(name: str, widths: tuple[int, ...]) -> dict:
    sizes = {"kernel_sizes": (4,) * len(widths), "strides": (2,) * len(widths)}
    return {"name": name, "widths": widths, "dense": (256,), **sizes}
