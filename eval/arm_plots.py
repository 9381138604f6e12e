"""Figures of several arms side by side, from numbers."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.aggregate import compute_interval
from eval.plots import FAINT, INK

Curve = Mapping[int, float]


def plot_scores(values: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """One panel a score, one column an arm: every run a dot, their mean and its 95% interval.

    Args:
        values: by score, by arm, one number a run.
    """
    arms = list(next(iter(values.values())))
    figure, panels = _make_panels(len(values), width=1.2 + 0.5 * len(arms))
    for axes, (score, by_arm) in zip(panels, values.items(), strict=True):
        for place, numbers in enumerate(by_arm.values()):
            color = _color(place)
            spread = np.linspace(-0.12, 0.12, len(numbers)) if len(numbers) > 1 else [0]
            axes.plot(place + np.array(spread), numbers, "o", color=color, alpha=0.55, ms=4, mew=0)
            if numbers:
                mean, half_width, _ = compute_interval(numbers)
                axes.hlines(mean, place - 0.3, place + 0.3, color=color, lw=2)
                if half_width is not None:
                    axes.vlines(place, mean - half_width, mean + half_width, color=color, lw=1.2)
        _limit(axes, [number for numbers in by_arm.values() for number in numbers])
        axes.set_xticks(range(len(arms)), arms, rotation=35, ha="right", size=8)
        axes.set_title(score, loc="left", size=9)
    return figure


def plot_scores_by_step(curves: Mapping[str, Mapping[str, Sequence[Curve]]]) -> Figure:
    """One panel a score, one line an arm: the mean over runs and its 95% interval.

    Args:
        curves: by score, by arm, one value by step a run; steps that a run lacks are left out.
    """
    figure, panels = _make_panels(len(curves), width=3.2)
    for axes, (score, by_arm) in zip(panels, curves.items(), strict=True):
        for number, (arm, runs) in enumerate(by_arm.items()):
            steps = sorted(set.intersection(*(set(run) for run in runs))) if runs else []
            intervals = [compute_interval([run[step] for run in runs]) for step in steps]
            means = np.array([mean for mean, _, _ in intervals])
            axes.plot(steps, means, color=_color(number), lw=1.6, label=arm, marker=".")
            if len(runs) > 1 and steps:
                reach = np.array([half_width for _, half_width, _ in intervals], float)
                axes.fill_between(
                    steps, means - reach, means + reach, color=_color(number), alpha=0.15, lw=0
                )
        _limit(axes, [value for arm in by_arm.values() for run in arm for value in run.values()])
        axes.set_title(score, loc="left", size=9)
        axes.set_xlabel("step", size=8)
    panels[-1].legend(fontsize=7, frameon=False)
    return figure


def plot_nmi_maps(
    maps: Mapping[str, np.ndarray], source_names: Sequence[str], active: Mapping[str, np.ndarray]
) -> Figure:
    """Normalised mutual information of one run an arm, side by side on one scale.

    Args:
        maps: by arm, (S, Z) in [0, 1].
        source_names: of the S rows.
        active: by arm, (Z,) bool; what is inactive is left blank.
    """
    figure, panels = _make_panels(len(maps), width=2.6, height=0.9 + 0.3 * len(source_names))
    for axes, (arm, nmi_SxZ) in zip(panels, maps.items(), strict=True):
        shown = np.where(active[arm], nmi_SxZ, np.nan)
        image = axes.imshow(shown, cmap="BuPu", vmin=0, vmax=1, aspect="auto")
        axes.set_title(arm, loc="left", size=9)
        axes.set_xticks(range(nmi_SxZ.shape[1]), [f"z{z}" for z in range(nmi_SxZ.shape[1])], size=6)
        axes.set_yticks([])
    names = [name.replace("_", " ") for name in source_names]
    panels[0].set_yticks(range(len(names)), names, size=8)
    figure.colorbar(image, ax=panels, fraction=0.02, pad=0.01).ax.tick_params(labelsize=7)
    return figure


def plot_densities(latents: Mapping[str, np.ndarray]) -> Figure:
    """How each latent of one run an arm is distributed: a row an arm, a panel a latent.

    Args:
        latents: by arm, (N, Z); integers are counted one by one.
    """
    most = max(latents_NxZ.shape[1] for latents_NxZ in latents.values())
    figure = Figure(
        figsize=(1 + 0.75 * most, 0.4 + 0.9 * len(latents)), dpi=120, layout="constrained"
    )
    grid = figure.subplots(len(latents), most, squeeze=False)
    for number, (row, (arm, latents_NxZ)) in enumerate(zip(grid, latents.items(), strict=True)):
        for latent, axes in enumerate(row):
            axes.set_axis_off()
            if latent < latents_NxZ.shape[1]:
                column = latents_NxZ[:, latent]
                whole = np.array_equal(column, column.round())
                bins = np.arange(column.min(), column.max() + 2) - 0.5 if whole else 30
                axes.hist(column, bins=bins, color=_color(number), rwidth=0.9)
                axes.set_title(f"z{latent}", size=7, color=FAINT)
        row[0].text(-0.15, 0.5, arm, transform=row[0].transAxes, ha="right", va="center", size=8)
    return figure


def _make_panels(count: int, width: float, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width * count, height), dpi=120, layout="constrained")
    panels = list(figure.subplots(1, count, squeeze=False)[0])
    for axes in panels:
        axes.tick_params(labelsize=7, length=2, colors=INK)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _limit(axes: Axes, values: Sequence[float]) -> None:
    """Shows no more than a share can be, where all values are shares: intervals may be wider."""
    if all(0 <= value <= 1 for value in values):
        axes.set_ylim(0, 1.02)


def _color(number: int) -> str:
    cycle = mpl.colormaps["tab10"].colors  # type: ignore[attr-defined]
    return mpl.colors.to_hex(cycle[number % len(cycle)])
