"""What every config of the paper has in common (method, section 5)."""

from typing import Any

from ml_collections import ConfigDict

from data_pipelines.specs import get_spec
from experiments.configs.networks import make_image_networks

# The paper's columns; a rendered or differently made set of the same scenes takes its numbers.
DATASETS = ("shapes3d", "mpi3d_complex", "falcor3d", "isaac3d")
_LIKE = {
    "shapes3d_rendered": "shapes3d",
    "dsprites": "shapes3d",
    "dsprites_rendered": "shapes3d",
    "mpi3d_toy": "mpi3d_complex",
    "mpi3d_realistic": "mpi3d_complex",
    "mpi3d_real": "mpi3d_complex",
    "cars3d": "shapes3d",
    "smallnorb": "shapes3d",
}


def pick(dataset: str, values: dict[str, float]) -> float:
    """Returns the paper's hyperparameter for a dataset, or for the paper's set most like it.

    Raises:
        UserError: no such dataset.
    """
    get_spec(dataset)
    return values[_LIKE.get(dataset, dataset)]


def set_weights(config: ConfigDict, weights: dict[str, float | None]) -> None:
    """Adds terms with their weights; None takes a term away."""
    for name, weight in weights.items():
        if weight is None:
            del config.weights[name]
            del config.population.weights[name]
        else:
            config.weights[name] = weight
            config.population.weights[name] = ()


def make_autoencoder_config(
    name: str,
    dataset: str,
    *,
    weights: dict[str, float],
    weight_decay: float = 0.0,
    reconstruction: str = "reconstruction",
) -> ConfigDict:
    """Returns the paper's training of an autoencoder at paper scale."""
    return _make_config(
        name,
        dataset,
        weights={reconstruction: 1.0, **weights},
        objective={},
        optimizer={"learning_rate": 1e-3, "weight_decay": weight_decay, "b1": 0.9, "b2": 0.999},
        batch_size=128,
    )


def make_gan_config(
    name: str, dataset: str, *, weights: dict[str, float], weight_decay: float = 0.0
) -> ConfigDict:
    """Returns the paper's training of an InfoGAN at paper scale."""
    return _make_config(
        name,
        dataset,
        weights={"value": 1.0, "gradient": 10.0, "latent": 200.0, **weights},
        objective={"generator_every": 5},
        optimizer={"learning_rate": 2e-4, "weight_decay": weight_decay, "b1": 0.0, "b2": 0.9},
        batch_size=64,
    )


def _make_config(
    name: str,
    dataset: str,
    *,
    weights: dict[str, float],
    objective: dict[str, Any],
    optimizer: dict[str, float],
    batch_size: int,
) -> ConfigDict:
    get_spec(dataset)
    encoder, decoder = make_image_networks()
    return ConfigDict(
        {
            "arm": name,  # the row of a results table
            "seed": 0,  # of the model; the data order has its own
            "num_steps": 200_000,
            "batch_size": batch_size,  # global, over all devices of all processes
            "checkpoint_every": 5_000,
            "checkpoints": {  # of those that the evaluator has scored; `experiments/retention.py`
                "keep_newest": 3,  # 0 keeps all
                "keep_every": 50_000,  # and these steps; 0 is none
            },
            "log_every": 100,
            "compute_dtype": "float32",
            "matmul_precision": "default",  # of a step's products: the backend's; high, highest
            "init_from": "",  # RUN[:STEP], whose parameters a new run starts with
            "data": {
                "name": dataset,
                "image_size": 64,
                "data_dir": "~/tensorflow_datasets",
                "cache": "auto",  # or "none", "disk", "ram": where images are read from
                "protocol": "heldout",
                "split_seed": 0,
                "order_seed": 0,
                "num_validation": 10_000,  # at most, and at most a tenth of the images
                "num_test": 10_000,  # likewise
                "marginalised": (),  # sources that metrics do not see: smallnorb's ("instance",)
                "num_pairs": 1,  # of sources that depend on each other: protocol=correlated
                "correlation_width": 0.1,  # in shares of a range: correlated, confounded
                "render_in_step": True,  # rendered datasets only
            },
            "model": {
                "name": name,
                "latents_per_source": 2,
                "encoder": encoder,  # whose every size can be overridden
                "decoder": decoder,
                "latents": {},
            },
            "objective": objective,
            "weights": weights,
            "optimizer": {**optimizer, "eps": 1e-8, "clip": 1.0},
            "eval": {
                "metrics": ("infomec",),
                "dialect": "",  # of InfoMEC: the default's, or the paper's where protocol=paper
                "splits": ("validation", "test"),  # test, for the last step alone
                "batch_size": 256,
            },
            "mesh": {"population": -1, "data": -1},
            "population": {  # seeds x values, all in one program; () is the config's own value
                "seeds": 1,
                "learning_rate": (),
                "weight_decay": (),
                "weights": dict.fromkeys(weights, ()),
            },
            "profile": {"steps": ()},
        }
    )
