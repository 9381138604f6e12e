"""The paper's tables as one table of runs: every arm on every dataset, seven seeds each.

python -m experiments.sweeps --root=runs/paper --table=experiments/configs/paper_table.py
python -m tpu_scripts.ahead.plan --topology=v5e:16x16 experiments/configs/paper_table.py
"""

from ml_collections import ConfigDict

from experiments.configs.arms import PAPER
from experiments.configs.base import DATASETS


def get_config() -> ConfigDict:
    """Returns the table: `config` with {arm} and {dataset}, and what they stand for."""
    return ConfigDict(
        {
            "config": "experiments/configs/{arm}.py:{dataset}",
            "arms": PAPER,
            "datasets": DATASETS,
            "seeds": tuple(range(7)),
        }
    )
