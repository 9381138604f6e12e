"""From `config.data` to a dataset, its split, and what turns a batch into images on the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from data_pipelines.datasets import Dataset, RenderedDataset, make_dataset
from data_pipelines.splits import Split, SplitOptions, make_split

if TYPE_CHECKING:  # restoring a run needs neither Grain nor array_record
    from data_pipelines.pipeline import Emit


@dataclass(frozen=True)
class Data:
    """What a run reads.

    Attributes:
        dataset: its images.
        split: which of them are trained on, and which evaluated.
        emit: what the pipeline sends to the device: images, or indices to render in the step.
    """

    dataset: Dataset
    split: Split
    emit: Emit

    @property
    def facts(self) -> dict[str, Any]:
        """What a model has to know of it: `image_shape`, `source_names`, `num_train`."""
        return {
            "image_shape": self.dataset.spec.image_shape,
            "source_names": self.dataset.spec.source_names,
            "num_train": len(self.split.train_indices),
        }


def make_data(config: ConfigDict) -> Data:
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
    options = SplitOptions(
        protocol=config.protocol,
        seed=config.split_seed,
        num_validation=config.num_validation,
        num_test=config.num_test,
        marginalised=tuple(config.marginalised),
        num_pairs=config.num_pairs,
        correlation_width=config.correlation_width,
    )
    split = make_split(dataset.spec, options)
    renders = config.render_in_step and isinstance(dataset, RenderedDataset)
    return Data(dataset, split, "index" if renders else "image")


def make_prepare(dataset: Dataset) -> Callable[[dict[str, jax.Array]], jax.Array]:
    """Returns the function that a jitted step calls first: batch -> (B, H, W, C) in [0, 1].

    A batch holds `image` (uint8), or `index` (int32 grid positions) to be rendered in the step.
    """

    def prepare(batch: dict[str, jax.Array]) -> jax.Array:
        pixels = batch["image"] if "image" in batch else dataset.render(batch["index"])
        return pixels.astype(jnp.float32) / 255

    return prepare
