"""A config that compiles and trains in seconds: `tiny.py:MODEL`."""

from ml_collections import ConfigDict

from experiments.configs import quickstart


def get_config(model: str = "qlae") -> ConfigDict:
    config = quickstart.get_config(model)
    config.num_steps = 40
    config.checkpoint_every = 10
    config.log_every = 5
    config.batch_size = 16
    config.data.image_size = 8
    config.data.num_validation = config.data.num_test = 1_000
    config.eval.splits = ("test",)
    for network in (config.model.encoder, config.model.decoder):
        network.update({"widths": (4, 4), "dense": (16,), "patch": 1})
    if "discriminator" in config.model:
        config.model.discriminator.dense = (16, 16)
    return config
