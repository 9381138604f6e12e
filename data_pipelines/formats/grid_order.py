"""Is a file the full grid of a dataset, and in which order does it hold it?"""

from __future__ import annotations

import numpy as np

from data_pipelines import specs
from data_pipelines.grid import DatasetSpec
from qlae.common.errors import UserError


def check_count(spec: DatasetSpec, found: int, origin: str) -> None:
    """Requires the number of images of the full grid.

    Raises:
        UserError: another number; the message names the datasets that it fits.
    """
    if found == spec.num_images:
        return
    others = [s.name for s in specs.SPECS.values() if s.num_images == found and not s.rendered]
    fits = f", the number of {' or '.join(others)}" if others else ""
    raise UserError(
        f"{origin} holds {found} images{fits}; {spec.name} has {spec.num_images}: name the file "
        "of this dataset"
    )


def check_images(spec: DatasetSpec, shape: tuple[int, ...], dtype, origin: str) -> None:
    """Requires uint8 images of the shape and number of `spec`.

    Args:
        spec: the dataset.
        shape: (N, H, W, C); a single channel may be left out.
        dtype: of the pixels.
        origin: how a message calls the file.

    Raises:
        UserError: another shape, type or number.
    """
    height, width, channels = spec.image_shape
    allowed = [(height, width, channels)] + ([(height, width)] if channels == 1 else [])
    if tuple(shape[1:]) not in allowed or np.dtype(dtype) != np.uint8:
        raise UserError(
            f"{origin} has {np.dtype(dtype)} images of shape {tuple(shape[1:])}; {spec.name} has "
            f"uint8 {allowed[0]}: name the file of this dataset"
        )
    check_count(spec, shape[0], origin)


def find_grid_order(spec: DatasetSpec, labels_NxS: np.ndarray, origin: str) -> np.ndarray:
    """Returns the int64 (num_images,) place in the file of each grid position.

    Labels may be classes or real values: each column is mapped by its sorted distinct values,
    never by scaling and rounding, which would merge classes.

    Raises:
        UserError: wrong shape, wrong number of distinct values, or not each combination once.
    """
    labels = np.asarray(labels_NxS)
    if labels.ndim != 2 or labels.shape[1] != spec.num_sources:
        raise UserError(
            f"{origin} has labels of shape {labels.shape}; expected ({spec.num_images}, "
            f"{spec.num_sources}) for {spec.name}"
        )
    check_count(spec, len(labels), origin)
    if not np.isfinite(labels).all():
        raise UserError(f"{origin} has labels that are not finite numbers: the file is damaged")
    classes = np.empty(labels.shape, np.int64)
    for i, source in enumerate(spec.sources):
        values, classes[:, i] = np.unique(np.round(labels[:, i], 6), return_inverse=True)
        if len(values) != source.cardinality:
            raise UserError(
                f"{origin} has {len(values)} values of {source.name}; {spec.name} has "
                f"{source.cardinality}: it is another variant or damaged"
            )
    indices = spec.indices_of(classes)
    seen = np.bincount(indices, minlength=spec.num_images)
    if (seen != 1).any():
        raise UserError(
            f"the labels of {origin} are not the full grid: {int((seen == 0).sum())} combinations "
            f"are missing and {int((seen > 1).sum())} occur more than once"
        )
    order = np.empty(spec.num_images, np.int64)
    order[indices] = np.arange(spec.num_images)
    return order


def require_file_order(order_N: np.ndarray, origin: str) -> None:
    """Requires that the file is in grid order, for formats that can only be read in sequence."""
    if not np.array_equal(order_N, np.arange(len(order_N))):
        raise UserError(
            f"{origin} holds the full grid in another order than the published file: expected the "
            "last source to vary fastest"
        )
