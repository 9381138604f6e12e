"""A small model that learns on two cores in minutes: what `make run` trains, for any arm.

    python -m experiments.train --config=experiments/configs/quickstart.py --workdir=DIR
    python -m experiments.train --config=experiments/configs/quickstart.py:ae --workdir=DIR

Rendered Shapes3D at 32x32, where every source can be seen. Networks read patches of 2x2 pixels, so
that a step takes little longer than it would on images of 16x16. Expect a QLAE to tangle its codes
at first, then to pull them apart between steps 4,000 and 8,000. The learning rate falls to a
quarter, which settles them, and not to 0: rate times decay is what presses them apart.
"""

from ml_collections import ConfigDict

from experiments.configs.arms import BEYOND_GANS, GANS, get_arm_config
from experiments.configs.networks import make_small_image_networks

# Chosen; QLAE's relatives take its own, so that one thing differs at a time.
_LIKE_QLAE = ("qlae_global", "qlae_grid", "qlae_multi_information", "qlae_normalized_hessian")
WEIGHT_DECAY = {**dict.fromkeys(("qlae", *_LIKE_QLAE, "fsq"), 0.75), "ae": 0.0}
# Whose terms are in nats a pixel: with fewer pixels each of them would weigh more.
_PER_PIXEL = ("beta_vae", "beta_tcvae", "factor_vae")


def get_config(arm: str = "qlae") -> ConfigDict:
    """Returns the small config of an arm, on rendered Shapes3D at 32x32."""
    config = get_arm_config(arm, "shapes3d_rendered")
    paper_rates = config.num_steps * config.optimizer.learning_rate
    paper_size = config.data.image_size
    config.num_steps = 12_000
    config.checkpoint_every = 1_000
    config.checkpoints.keep_newest = 0
    config.batch_size = 64
    config.data.image_size = 32
    config.model.encoder, config.model.decoder = make_small_image_networks((24, 64), patch=2)
    if arm in GANS + BEYOND_GANS:
        config.num_steps = 4_000  # a critic step with its penalty costs more than twice as much
        config.checkpoint_every = 500
        mean_rate = config.optimizer.learning_rate = 5e-4
    else:
        config.optimizer.learning_rate = 4e-3
        config.optimizer.cosine = {"steps": config.num_steps, "end": 1e-3}
        mean_rate = (4e-3 + 1e-3) / 2
    # What a parameter loses over all steps is decay x the sum of rates: as much as in the paper.
    decay = config.optimizer.weight_decay * paper_rates / (config.num_steps * mean_rate)
    config.optimizer.weight_decay = WEIGHT_DECAY.get(arm, decay)
    if arm in _PER_PIXEL:
        for term in set(config.weights) - {"reconstruction"}:
            config.weights[term] *= (config.data.image_size / paper_size) ** 2
    if "discriminator" in config.model:
        config.model.discriminator = {"dense": (256,) * 3}
    return config
