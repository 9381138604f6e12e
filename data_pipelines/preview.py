"""See a dataset: `python -m data_pipelines.preview DATASET` draws a picture and prints a table.

Each row of the picture varies one source and holds the others still.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

import matplotlib.figure
import numpy as np

from data_pipelines.datasets import Dataset, make_dataset
from data_pipelines.grid import DatasetSpec
from data_pipelines.random_order import random_keys
from data_pipelines.specs import SPECS, get_spec
from qlae.common.command_line import Parser, run_command
from qlae.common.files import write_output

_COLUMNS = 10


def make_preview(dataset: Dataset, seed: int = 0, columns: int = _COLUMNS) -> np.ndarray:
    """Returns uint8 (S, columns, H, W, C) images: row i varies source i, evenly over its classes.

    The other sources are those of one image, chosen by `seed`, any integer. Sources with fewer
    classes than columns leave the rest of their row white.
    """
    spec = dataset.spec
    chosen = int(random_keys(np.zeros(1), seed)[0]) % spec.num_images
    still = spec.sources_at(chosen)
    preview = np.full((spec.num_sources, columns, *spec.image_shape), 255, np.uint8)
    for row, cardinality in enumerate(spec.cardinalities):
        classes = chosen_classes(cardinality, columns)
        sources = np.tile(still, (len(classes), 1))
        sources[:, row] = classes
        preview[row, : len(classes)] = dataset.images(spec.indices_of(sources))
    return preview


def chosen_classes(cardinality: int, columns: int) -> np.ndarray:
    """Returns all classes, or as many as there are columns, evenly spread."""
    return np.unique(np.linspace(0, cardinality - 1, columns).round().astype(int))


def make_table(spec: DatasetSpec) -> str:
    """Returns the text table of a dataset's sources."""
    lines = [
        f"{spec.name}: {spec.num_images:,} images of {'x'.join(map(str, spec.image_shape))}, "
        f"{spec.num_sources} sources, {spec.num_latents} latents",
        spec.description,
        "",
        f"{'source':<20} {'classes':>7}  values",
    ]
    for source in spec.sources:
        values = [f"{value:.4g}" for value in source.values]
        shown = values if len(values) <= 8 else [*values[:3], "...", values[-1]]
        lines.append(f"{source.name:<20} {source.cardinality:>7}  {' '.join(shown)}")
    return "\n".join(lines)


def draw(spec: DatasetSpec, preview_SxKxHxWxC: np.ndarray) -> bytes:
    """Returns the preview as a PNG, with each row's source named."""
    rows, columns = preview_SxKxHxWxC.shape[:2]
    figure = matplotlib.figure.Figure(figsize=(columns + 1.6, rows * 1.03), dpi=100)
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, source in enumerate(spec.sources):
        classes = chosen_classes(source.cardinality, columns)
        for column, axis in enumerate(axes[row]):
            axis.set_axis_off()
            if column < len(classes):
                image = preview_SxKxHxWxC[row, column]
                axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes[row, 0].text(
            -0.1, 0.5, source.name, ha="right", va="center", transform=axes[row, 0].transAxes
        )
    left = 1.55 / (columns + 1.6)
    figure.subplots_adjust(
        left=left, right=0.995, top=0.995, bottom=0.005, wspace=0.03, hspace=0.03
    )
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def main(arguments: Sequence[str]) -> None:
    """Parses the command line, prints the table and writes the picture."""
    parser = Parser("data_pipelines.preview", __doc__)
    parser.add_argument("dataset", help=f"one of {', '.join(sorted(SPECS))}")
    parser.add_argument("--data_dir", help="where a dataset that is not rendered was prepared")
    parser.add_argument("--image_size", type=int, default=64, help="of rendered datasets")
    parser.add_argument("--seed", type=int, default=0, help="chooses the sources held still")
    parser.add_argument("--output", help="the picture, a PNG; by default DATASET.png here")
    options = parser.parse_args(arguments)
    if get_spec(options.dataset).rendered and options.data_dir:
        parser.error(f"{options.dataset} is rendered here: it has no --data_dir")
    dataset = make_dataset(
        options.dataset, image_size=options.image_size, data_dir=options.data_dir
    )
    print(make_table(dataset.spec))
    path = options.output or f"{dataset.spec.name}.png"
    write_output(path, draw(dataset.spec, make_preview(dataset, options.seed)))
    print(f"\npicture: {path}")


if __name__ == "__main__":
    sys.exit(run_command(main))
