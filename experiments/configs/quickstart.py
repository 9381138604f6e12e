"""A small QLAE that learns on two cores in minutes: what `make run` trains.

python -m experiments.train --config=experiments/configs/quickstart.py --workdir=DIR
python -m experiments.train --config=experiments/configs/quickstart.py:ae --workdir=DIR
"""

from ml_collections import ConfigDict

from experiments.configs.arms import get_arm_config


def get_config(arm: str = "qlae") -> ConfigDict:
    """Returns the small config of a row of the paper's tables, on 16x16 rendered Shapes3D."""
    config = get_arm_config(arm, "shapes3d_rendered")
    config.num_steps = 8_000
    config.checkpoint_every = 1_000
    config.batch_size = 64
    config.data.image_size = 16
    config.model.encoder = _layers("image_small", (32, 64))
    config.model.decoder = _layers("style_image_small", (64, 32))
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 0.3 if arm == "qlae" else 0.0
    return config


def _layers(name: str, widths: tuple[int, ...]) -> dict:
    sizes = {"kernel_sizes": (4,) * len(widths), "strides": (2,) * len(widths)}
    return {"name": name, "widths": widths, "dense": (256,), **sizes}
