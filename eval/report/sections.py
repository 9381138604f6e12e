"""What the page shows of one run: each function returns one piece of HTML."""

from collections.abc import Sequence
from html import escape

import numpy as np

from eval.records import Record
from eval.report.charts import plot_usage
from eval.report.explorer import make_payload, make_sheet, to_script
from eval.report.summary import Album, Summary
from qlae.latents.scalar import ScalarLatents


def show_explorer(summary: Summary, album: Album, number: int, most_bytes: int) -> str:
    """Held-out images, and all latents' variations of each: pictures that are also controls.

    Args:
        summary: of the run.
        album: its pictures; as many images as fit are shown.
        number: of the explorer, unique on the page.
        most_bytes: that the pictures may take; one image is always shown.
    """
    sheets = []
    for variations in album.variations:
        sheets.append(make_sheet(variations))
        if sum(map(len, sheets)) > most_bytes and len(sheets) > 1:
            sheets.pop()
            break
    height, width, _ = summary.run.image_shape
    num_images, (num_latents, num_columns) = len(sheets), album.values_KxZxV.shape[1:]
    styles = "".join(
        f'#explorer-{number}:has(input[name="image{number}"][value="{i}"]:checked)'
        f"{{--sheet:url({sheet})}}"
        for i, sheet in enumerate(sheets)
    )
    originals = make_sheet(album.originals[None, :num_images])
    images = "".join(
        _cell(f"image{number}", i, f"held-out image {i + 1}", i == 0, _place(i, num_images), "0")
        for i in range(num_images)
    )
    labels = label_latents(summary.last, num_latents)
    latents = "".join(
        _show_latent(
            number, latent, labels[latent], album.own_KxZ[0, latent], num_columns, num_latents
        )
        for latent in order_latents(summary.last, num_latents)
    )
    payload = to_script(make_payload(summary.run, album))
    live = "decodes any combination" if '"decoder":{' in payload else "shows one changed latent"
    return f"""<style>{styles}</style>
<div class="explorer" id="explorer-{number}" style="--aspect:{width}/{height}">
<div class="side">
<fieldset class="images" style="--across:{num_images};--down:1;--cell-sheet:url({originals})">
<legend>Held-out image</legend><div class="cells">{images}</div></fieldset>
<div class="stage"><canvas role="img" aria-label="decoded picture"></canvas>
<div><output aria-live="polite"></output><button type="button">Reset</button></div></div>
</div>
<div class="latents" style="--across:{num_columns};--down:{num_latents};--cell-sheet:var(--sheet)">
{latents}</div>
</div>
<p class="hint">Click a cell, or focus a row and press the arrow keys: the page {live}.</p>
<script type="application/json" id="data-{number}">{payload}</script>"""


def _show_latent(
    number: int, latent: int, label: str, own: int, num_columns: int, num_latents: int
) -> str:
    down = _place(latent, num_latents)
    cells = "".join(
        _cell(
            f"z{number}-{latent}", i, f"z{latent} value {i}", i == own, _place(i, num_columns), down
        )
        for i in range(num_columns)
    )
    return (
        f'<fieldset class="latent"><legend>{label}</legend>'
        f'<div class="cells">{cells}</div></fieldset>'
    )


def _cell(name: str, value: int, label: str, checked: bool, x: str, y: str) -> str:
    mark = " checked" if checked else ""
    return (
        f'<label><input type="radio" name="{name}" value="{value}" aria-label="{label}"{mark}>'
        f'<span style="--x:{x};--y:{y}"></span></label>'
    )


def _place(index: int, count: int) -> str:
    """The background position that shows one of so many equal parts."""
    return f"{100 * index / max(count - 1, 1):.4g}%"


def show_reconstructions(album: Album) -> str:
    """Held-out images above what the model makes of them."""
    figures = []
    for index, (original, decoded) in enumerate(
        zip(album.originals, album.reconstructions, strict=True), start=1
    ):
        error = float(np.mean((original - decoded) ** 2))
        psnr = -10 * np.log10(max(error, 1e-10))
        figures.append(
            f'<figure><img alt="held-out image {index}" src="{make_sheet(original[None, None])}">'
            f'<img alt="its reconstruction" src="{make_sheet(decoded[None, None])}">'
            f"<figcaption>{psnr:.1f} dB</figcaption></figure>"
        )
    return f'<div class="pairs">{"".join(figures)}</div>'


def show_nmi(record: Record) -> str:
    """The normalised mutual information of all sources and latents, as a table."""
    nmi_SxZ, active = np.array(record.nmi_SxZ), record.active_latents or []
    heads = "".join(
        f'<th scope="col"{"" if on else inactive}>z{latent}</th>'
        for latent, on in enumerate(active)
        for inactive in (' class="inactive" title="inactive"',)
    )
    rows = []
    for name, row in zip(map(spell, record.source_names), nmi_SxZ, strict=True):
        cells = "".join(
            f'<td style="--share:{value:.2f}" data-says="{name} · z{latent}: {value:.3f}">'
            f"{value:.2f}</td>"
            for latent, value in enumerate(row)
        )
        rows.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    return f"""<div><div class="scroll"><table class="nmi">
<caption>How much each latent tells about each source, 0 to 1; inactive ones in italics.</caption>
<thead><tr><td></td>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>
<output aria-live="polite"></output></div>"""


def show_usage(summary: Summary, album: Album) -> str:
    """How often each codebook value is used, latent by latent."""
    if album.usage_ZxV is None:
        return ""
    latents = summary.run.model.latents
    values = np.asarray(latents.codebook_ZxV) if isinstance(latents, ScalarLatents) else None
    figures = "".join(
        f"<figure>{plot_usage(f'z{z}', None if values is None else values[z], usage)}</figure>"
        for z, usage in enumerate(album.usage_ZxV)
    )
    entropy = -(album.usage_ZxV * np.log2(np.maximum(album.usage_ZxV, 1e-12))).sum(1)
    possible = np.log2(album.usage_ZxV.shape[1])
    return f"""<h3>Codebooks</h3>
<p class="lead">Where the values of each latent lie, and the share of held-out images that takes
each: {entropy.mean():.2f} bits a latent on average, of {possible:.2f} possible.</p>
<div class="charts small">{figures}</div>"""


def show_goodput(summaries: Sequence[Summary]) -> str:
    """Where the seconds of training went, in shares of all; nothing where no run has noted it."""
    noted = [(each, each.seconds) for each in summaries if sum(each.seconds.values()) > 0]
    if not noted:
        return ""
    causes = dict.fromkeys(cause for _, seconds in noted for cause in seconds)
    heads = "".join(f'<th scope="col">{spell(cause)}</th>' for cause in causes)
    rows = []
    for summary, seconds in noted:
        total = sum(seconds.values())
        cells = "".join(
            f"<td>{seconds.get(c, 0):,.1f} s ({seconds.get(c, 0) / total:.1%})</td>" for c in causes
        )
        rows.append(
            f'<tr><th scope="row">{escape(summary.label)}</th><td>{total:,.1f} s</td>{cells}</tr>'
        )
    return f"""<section><h2>Goodput</h2>
<p class="lead">Seconds of training by cause, over all its starts; stepping is the good part.</p>
<div class="scroll"><table class="plain">
<thead><tr><th scope="col">run</th><th scope="col">all</th>{heads}</tr></thead>
<tbody>{"".join(rows)}</tbody></table></div></section>"""


def label_latents(record: Record, num_latents: int) -> list[str]:
    """What each latent tells most about, in HTML."""
    if record.nmi_SxZ is None or record.active_latents is None:
        return [f"<b>z{latent}</b>" for latent in range(num_latents)]
    nmi_SxZ = np.array(record.nmi_SxZ)
    names = [spell(name) for name in record.source_names]
    return [
        f"<b>{names[nmi_S.argmax()]}</b> {nmi_S.max():.2f} · z{latent}"
        if on
        else f"inactive · z{latent}"
        for latent, (nmi_S, on) in enumerate(zip(nmi_SxZ.T, record.active_latents, strict=True))
    ]


def order_latents(record: Record, num_latents: int) -> list[int]:
    """Active latents by the source that they tell most about, the most telling first."""
    if record.nmi_SxZ is None or record.active_latents is None:
        return list(range(num_latents))
    nmi_SxZ, active = np.array(record.nmi_SxZ), record.active_latents
    return sorted(
        range(num_latents),
        key=lambda z: (not active[z], int(nmi_SxZ[:, z].argmax()), -float(nmi_SxZ[:, z].max())),
    )


def spell(name: str) -> str:
    """A name as people read it."""
    return escape(name.replace("_", " "))
