"""What a model has to know of the dataset that it is trained on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetFacts:
    """Facts of a dataset; a run directory keeps them, so that a run is opened without its data.

    Attributes:
        image_shape: (H, W, C).
        source_names: of the S sources; Z is S times `config.model.latents_per_source`.
        num_train: number of training images.
    """

    image_shape: tuple[int, int, int]
    source_names: tuple[str, ...]
    num_train: int

    def __post_init__(self):
        # From JSON they come as lists.
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        object.__setattr__(self, "source_names", tuple(self.source_names))
