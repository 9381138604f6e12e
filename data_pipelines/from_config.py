"""From `config.data` to a dataset, its split, and what turns a batch into images on the device."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from data_pipelines.datasets import Dataset, make_dataset
from data_pipelines.splits import Split, make_split


def make_data(config: ConfigDict) -> tuple[Dataset, Split]:
    """Opens the dataset that `config` (a run's `config.data`) names, and splits its grid.

    Raises:
        UserError: unknown dataset or protocol, or a dataset that is not prepared.
    """
    dataset = make_dataset(
        config.name,
        image_size=config.image_size,
        data_dir=config.data_dir or None,
        cache=config.cache,
    )
    split = make_split(
        dataset.spec, config.protocol, seed=config.split_seed, num_heldout=config.num_heldout
    )
    return dataset, split


def make_prepare(dataset: Dataset) -> Callable[[dict[str, jax.Array]], jax.Array]:
    """Returns the function that a jitted step calls first: batch -> (B, H, W, C) in [0, 1].

    A batch holds `image` (uint8), or `index` (int32 grid positions) to be rendered in the step.
    """

    def prepare(batch: dict[str, jax.Array]) -> jax.Array:
        pixels = batch["image"] if "image" in batch else dataset.render(batch["index"])
        return pixels.astype(jnp.float32) / 255

    return prepare
