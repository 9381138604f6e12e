"""Figures from arrays: image grids and the NMI heat map."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

_CELL = 0.62  # inches
INK, FAINT, _ACCENT = "#1b1f24", "#9aa0a6", "#d1495b"


def plot_reconstructions(originals: np.ndarray, reconstructions: np.ndarray) -> Figure:
    """Originals above their reconstructions; both (K, H, W, C) in [0, 1]."""
    return _make_grid(["original", "decoded"], [originals, reconstructions])


def plot_traversals(
    traversals: Sequence[np.ndarray],
    base_column: Sequence[int],
    labels: Sequence[str],
    active_latents: Sequence[bool] | np.ndarray,
) -> Figure:
    """One row a latent, its values swept from left to right; the image's own value is framed.

    Args:
        traversals: one (columns, H, W, C) in [0, 1] per latent.
        base_column: the column to frame, per latent.
        labels: of rows.
        active_latents: inactive rows are labelled faintly.
    """
    colors = [INK if active else FAINT for active in active_latents]
    return _make_grid(labels, traversals, colors, base_column)


def plot_samples(samples: np.ndarray) -> Figure:
    """Unconditional samples (N, H, W, C) in [0, 1], eight a row."""
    rows = [samples[start : start + 8] for start in range(0, len(samples), 8)]
    return _make_grid([""] * len(rows), rows)


def plot_nmi(
    nmi_SxZ: np.ndarray,
    source_names: Sequence[str],
    active_latents: Sequence[bool] | np.ndarray,
    title: str,
) -> Figure:
    """Heat map of normalised mutual information, sources named, inactive latents marked."""
    num_sources, num_latents = nmi_SxZ.shape
    figure = Figure(figsize=(1.9 + 0.5 * num_latents, 1.2 + 0.45 * num_sources), dpi=120)
    axes = figure.add_subplot()
    image = axes.imshow(nmi_SxZ, cmap="BuPu", vmin=0, vmax=1, aspect="auto")
    for source, latent in np.ndindex(num_sources, num_latents):
        value = nmi_SxZ[source, latent]
        color = "white" if value > 0.55 else INK
        if active_latents[latent] and value >= 0.01:
            axes.text(latent, source, f"{value:.2f}", ha="center", va="center", size=7, color=color)
    for latent in np.flatnonzero(~np.asarray(active_latents)).tolist():
        axes.text(latent, (num_sources - 1) / 2, "inactive", rotation=90, ha="center",
                  va="center", size=8, color=FAINT)  # fmt: skip
    axes.set_yticks(range(num_sources), [name.replace("_", " ") for name in source_names], size=8)
    axes.set_xticks(range(num_latents), [f"z{latent}" for latent in range(num_latents)], size=8)
    axes.tick_params(length=0)
    axes.set_title(title, size=9, color=INK)
    figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02).ax.tick_params(labelsize=7)
    figure.tight_layout()
    return figure


def to_png(figure: Figure) -> bytes:
    """Returns the figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    # Without these a PNG would carry the library's version and differ from machine to machine.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def to_array(figure: Figure) -> np.ndarray:
    """Returns the figure as uint8 (H, W, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _make_grid(
    labels: Sequence[str],
    rows: Sequence[np.ndarray],
    colors: Sequence[str] | None = None,
    framed: Sequence[int] | None = None,
) -> Figure:
    num_columns = max(len(row) for row in rows)
    labelled = 1.7 if any(labels) else 0.1
    figure = Figure(figsize=(labelled + _CELL * num_columns, 0.1 + _CELL * len(rows)), dpi=120)
    left = labelled / figure.get_figwidth()
    grid = figure.subplots(
        len(rows),
        num_columns,
        squeeze=False,
        gridspec_kw={
            "left": left, "right": 0.995, "top": 0.99, "bottom": 0.01,
            "wspace": 0.06, "hspace": 0.06,
        },
    )  # fmt: skip
    for index, (label, row) in enumerate(zip(labels, rows, strict=True)):
        for column, axes in enumerate(grid[index]):
            axes.set_xticks([])
            axes.set_yticks([])
            own = framed is not None and framed[index] == column
            for spine in axes.spines.values():
                spine.set_visible(own)
                spine.set(color=_ACCENT, linewidth=2)
            if column < len(row):
                axes.imshow(
                    np.clip(row[column].squeeze(), 0, 1), cmap="gray", interpolation="nearest"
                )
        color = colors[index] if colors else INK
        grid[index][0].set_ylabel(label, rotation=0, ha="right", va="center", size=8, color=color)
    return figure
