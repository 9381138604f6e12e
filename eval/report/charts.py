"""Charts as SVG that takes its colours and its type from the page, so that it is right by night.

Matplotlib draws in colours that stand for the page's; each is replaced by the page's variable.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

NUM_SERIES = 4
_INK, _MUTED, _LINE = "#010203", "#010204", "#010205"
_SERIES = [f"#0103{number:02x}" for number in range(NUM_SERIES)]
_VARIABLES = {_INK: "ink", _MUTED: "muted", _LINE: "line"} | {
    color: f"series-{number}" for number, color in enumerate(_SERIES)
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "qlae",
    "font.size": 9,
    "axes.linewidth": 0.7,
}

Points = Sequence[tuple[int, float]]


def plot_curves(title: str, groups: Mapping[str, Sequence[Points]], log: bool = False) -> str:
    """Returns a chart of one quantity over steps, a line for each group of runs.

    Args:
        title: what is drawn.
        groups: by name, the curves of the runs that differ in seed alone; their mean is a line,
            and from the lowest to the highest run a band.
        log: whether the quantity's axis is logarithmic.
    """
    figure, axes = _make_axes(title)
    for number, curves in enumerate(groups.values()):
        color = _SERIES[number % NUM_SERIES]
        runs = [dict(curve) for curve in curves]
        steps = sorted(set.intersection(*(set(run) for run in runs)))
        values = np.array([[run[step] for step in steps] for run in runs])
        axes.plot(steps, values.mean(0), color=color, linewidth=1.6)
        axes.plot(steps[-1:], values.mean(0)[-1:], "o", color=color, markersize=3.5)
        if len(runs) > 1:
            axes.fill_between(steps, values.min(0), values.max(0), color=color, alpha=0.18, lw=0)
    if log:
        axes.set_yscale("log")
    axes.xaxis.set_major_formatter(
        lambda step, _: f"{step / 1000:g}k" if step >= 1000 else f"{step:g}"
    )
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return _to_svg(figure, f"{title} by step")


def plot_usage(title: str, values_V: np.ndarray | None, usage_V: np.ndarray) -> str:
    """Returns a chart of how often each value of one latent's codebook is used.

    Args:
        title: of the latent.
        values_V: of its codebook; None numbers them.
        usage_V: shares that sum to 1.
    """
    figure, axes = _make_axes(title, height=1.15)
    positions = np.arange(len(usage_V)) if values_V is None else values_V
    axes.vlines(positions, 0, usage_V, color=_SERIES[0], linewidth=2.2)
    axes.plot(
        positions, np.zeros(len(usage_V)), "o", color=_SERIES[0], markersize=2.5, clip_on=False
    )
    axes.set_ylim(0, max(0.5, usage_V.max()))
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}%")
    axes.yaxis.set_major_locator(MaxNLocator(2))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    return _to_svg(figure, f"{title}: share of images by codebook value")


def _make_axes(title: str, height: float = 1.9) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(3.2, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", size=10, color=_INK)
    axes.tick_params(colors=_MUTED, labelcolor=_MUTED, length=0, labelsize=8.5)
    axes.grid(axis="y", color=_LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_LINE)
    return figure, axes


def _to_svg(figure: Figure, label: str) -> str:
    buffer = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # several charts share one page
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for color, name in _VARIABLES.items():
        svg = svg.replace(color, f"var(--{name})")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
