"""The page: one file of HTML with all it needs inside."""

from collections import defaultdict
from collections.abc import Callable
from html import escape
from pathlib import Path

import jax
import numpy as np

from eval.aggregate import compute_interval
from eval.report import charts, sections
from eval.report.summary import Summary

_HERE = Path(__file__).parent
_MOST_EXPLORERS = 4
_PICTURE_BYTES = 3_200_000
_TITLES = {
    "infom": "InfoM",
    "infoe": "InfoE",
    "infoc": "InfoC",
    "psnr": "PSNR / dB",
    "infoe_heldout": "InfoE, held out",
}

Groups = dict[str, list[Summary]]


def make_page(summaries: list[Summary]) -> str:
    """Returns the page; pictures of at most four kinds of runs, numbers of all."""
    groups: Groups = defaultdict(list)
    for summary in summaries:
        groups[summary.group].append(summary)
    shown = [members[0] for members in groups.values()][:_MOST_EXPLORERS]
    budget = _PICTURE_BYTES // len(shown)
    title = shown[0].label if len(summaries) == 1 else f"{len(summaries)} runs"
    body = "\n".join(
        [
            f"<header><h1>{escape(title)}</h1>{_lead(summaries)}</header><main>",
            _show_scores(groups),
            *(
                _show_run(each, "Latents" if len(summaries) == 1 else each.label, number, budget)
                for number, each in enumerate(shown)
            ),
            _show_curves(groups),
            sections.show_goodput(shown),
            _show_origin(shown),
            "</main>",
        ]
    )
    script = "\n".join((_HERE / name).read_text() for name in ("decoder.js", "page.js"))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>{(_HERE / "page.css").read_text()}</style></head>
<body>{body}
<script>{script}</script></body></html>
"""


def _lead(summaries: list[Summary]) -> str:
    record = summaries[0].last
    if len(summaries) > 1:
        return '<p class="lead">Mean and 95% interval over the seeds of each kind of run.</p>'
    return (
        f'<p class="lead">After {record.step:,} steps, on {record.num_samples:,} held-out images '
        f"({escape(record.protocol)}).</p>"
    )


def _show_scores(groups: Groups) -> str:
    """The last scores of each kind of run."""
    names = list(
        dict.fromkeys(n for runs in groups.values() for run in runs for n in run.last.scores)
    )
    names.sort(key=lambda name: list(_TITLES).index(name) if name in _TITLES else len(_TITLES))
    heads = "".join(f'<th scope="col">{escape(_TITLES.get(name, name))}</th>' for name in names)
    rows = []
    for number, (group, runs) in enumerate(groups.items()):
        cells = "".join(
            f"<td>{_format([run.last.scores.get(n) for run in runs])}</td>" for n in names
        )
        rows.append(
            f'<tr><th scope="row">{_swatch(number)}{_name(group, runs)}</th>'
            f"<td>{runs[0].last.step:,}</td>{cells}</tr>"
        )
    return f"""<div class="scroll"><table class="plain">
<thead><tr><th scope="col">run</th><th scope="col">step</th>{heads}</tr></thead>
<tbody>{"".join(rows)}</tbody></table></div>"""


def _format(values: list[float | None]) -> str:
    known = [value for value in values if value is not None and np.isfinite(value)]
    if not known:
        return "n/a"
    mean, half_width, _ = compute_interval(known)
    digits = 1 if abs(mean) >= 10 else 3
    return f"{mean:.{digits}f}" + (f" ± {half_width:.{digits}f}" if half_width is not None else "")


def _show_run(summary: Summary, title: str, number: int, budget: int) -> str:
    """Pictures first, then which latent tells what."""
    album, record = summary.album, summary.last
    parts = [f"<section><h2>{escape(title)}</h2>"]
    if album is not None:
        parts += [
            '<p class="lead">Each row changes one latent of the picture and keeps the rest; it is '
            "named by the source that the latent tells most about.</p>",
            sections.show_explorer(summary, album, number, budget),
            "<h3>Reconstructions</h3>",
            sections.show_reconstructions(album),
        ]
    else:
        parts.append(f'<p class="lead">No pictures: {escape(summary.missing)}.</p>')
    if record.nmi_SxZ is not None:
        parts += ["<h3>Sources and latents</h3>", sections.show_nmi(record)]
    if album is not None:
        parts.append(sections.show_usage(summary, album))
    return "\n".join([*parts, "</section>"])


def _show_curves(groups: Groups) -> str:
    """Scores of all checkpoints, then losses."""
    legend = " ".join(
        f"{_swatch(number)}{_name(group, runs)}"
        for number, (group, runs) in enumerate(groups.items())
    )
    note = "; the band is from the lowest to the highest seed" if _has_seeds(groups) else ""
    scores = _plot_all(groups, _score_curves, _TITLES.get)
    losses = _plot_all(groups, _training_curves, lambda tag: tag.removeprefix("train/"))
    return f"""<section><h2>Curves</h2><p class="lead">By training step{note}. {legend}</p>
<h3>Scores</h3><div class="charts">{scores}</div>
<h3>Training</h3><div class="charts">{losses}</div></section>"""


def _training_curves(run: Summary) -> dict[str, list[tuple[int, float]]]:
    return {tag: points for tag, points in run.curves.items() if tag.startswith("train/")}


def _score_curves(run: Summary) -> dict[str, list[tuple[int, float]]]:
    names = run.last.scores
    return {n: [(r.step, r.scores[n]) for r in run.records if n in r.scores] for n in names}


def _plot_all(
    groups: Groups,
    read: Callable[[Summary], dict[str, list[tuple[int, float]]]],
    spell: Callable[[str], str | None],
) -> str:
    named = {name: [read(run) for run in runs] for name, runs in groups.items()}
    tags = dict.fromkeys(tag for runs in named.values() for run in runs for tag in run)
    figures = []
    for tag in tags:
        having = {
            name: [run[tag] for run in runs]
            for name, runs in named.items()
            if all(run.get(tag) for run in runs)
        }
        if having:
            values = [value for runs in having.values() for run in runs for _, value in run]
            wide = min(values) > 0 and max(values) > 30 * min(values)
            figures.append(
                f"<figure>{charts.plot_curves(spell(tag) or tag, having, wide)}</figure>"
            )
    return "".join(figures)


def _show_origin(shown: list[Summary]) -> str:
    """Configs and versions, folded."""
    parts = []
    for summary in shown:
        leaves = jax.tree.leaves(summary.run.model)
        count = sum(leaf.size for leaf in leaves)
        versions = ", ".join(f"{name} {version}" for name, version in summary.last.versions.items())
        parts.append(
            f"<details><summary>{escape(summary.label)}: config</summary>"
            f"<p>{count:,} parameters. Scored with {escape(versions)}.</p>"
            f"<pre>{escape(summary.run.config.to_json_best_effort(indent=2))}</pre></details>"
        )
    return f"<section><h2>Origin</h2>{''.join(parts)}</section>"


def _name(group: str, runs: list[Summary]) -> str:
    """A kind of run; the config tells apart what else would be named alike."""
    model, dataset, _ = group.split(" · ")
    seeds = f", {len(runs)} seeds" if len(runs) > 1 else f", seed {runs[0].last.seed}"
    return escape(f"{model} on {dataset}{seeds}")


def _swatch(number: int) -> str:
    color = f"var(--series-{number % charts.NUM_SERIES})"
    return f'<span class="swatch" style="background:{color}"></span>'


def _has_seeds(groups: Groups) -> bool:
    return any(len(runs) > 1 for runs in groups.values())
