"""QLAE and what came after it as one table of runs: every autoencoding arm, three seeds each.

python -m experiments.sweeps --root=runs/beyond --table=experiments/configs/beyond_table.py
python -m tpu_scripts.ahead.plan --topology=v5e:16x16 experiments/configs/beyond_table.py
"""

from ml_collections import ConfigDict

from experiments.configs.arms import AUTOENCODERS, BEYOND
from experiments.configs.base import DATASETS


def get_config() -> ConfigDict:
    """Returns the table: `config` with {arm} and {dataset}, and what they stand for."""
    return ConfigDict(
        {
            "config": "experiments/configs/{arm}.py:{dataset}",
            "arms": AUTOENCODERS + BEYOND,
            "datasets": DATASETS,
            "seeds": tuple(range(3)),
        }
    )
