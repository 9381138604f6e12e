"""Scores arrays that were made elsewhere: `python -m eval.score --sources s.npy --latents z.npy`.

Files are npy, npz (`file.npz:key`, or the only key, or the one called "sources" or "latents") or
csv (numbers, with or without a line of names). Pickles are never loaded. The table goes to the
screen (standard error) and JSON to standard output, or with `--out FILE` into a file. Exit codes:
0, or 1 when a metric failed and its error is in the table, or 2 for a mistake in the arguments or
arrays.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.arrays import load_array
from eval.metrics.dialects import DEFAULT_DIALECT, DIALECTS, get_dialect
from eval.metrics.errors import InputError
from eval.metrics.infomec import InfoMEC, compute_infomec
from eval.metrics.registry import METRIC_VERSION, METRICS, compute_metrics, get_metric
from eval.metrics.samples import make_samples
from qlae.common.command_line import Exit, Parser, run_command
from qlae.common.errors import UserError
from qlae.common.files import write_output


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    options = _parse(arguments)
    sources = load_array(options.sources, "sources")
    latents = load_array(options.latents, "latents")
    names = [name.strip() for name in options.metrics.split(",") if name.strip()]
    report = score(
        sources,
        latents,
        names,
        discrete=options.discrete,
        seed=options.seed,
        dialect=DEFAULT_DIALECT if options.dialect == "all" else options.dialect,
    )
    if options.dialect == "all":
        report["dialects"] = score_dialects(sources, latents, discrete=options.discrete)
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    if options.out:
        write_output(options.out, text)
        print(format_report(report))
    else:
        print(format_report(report), file=sys.stderr)
        print(text, end="")
    return Exit.FAILED if report["errors"] else Exit.DONE


def score(
    sources_NxS: np.ndarray,
    latents_NxZ: np.ndarray,
    names: list[str],
    *,
    discrete: bool,
    seed: int = 0,
    dialect: str = DEFAULT_DIALECT,
) -> dict[str, Any]:
    """Runs metrics by name; returns what the command prints as JSON.

    Raises:
      UserError: a missing name, or values given as codes.
      InputError: an unknown name, arrays that no metric can score, or a case at which the dialect
        stops.
    """
    if not names:
        raise UserError(f"no metric named: pass some of {', '.join(METRICS)}")
    for name in names:
        get_metric(name)
    samples = make_samples(sources_NxS, latents_NxZ, discrete=discrete)
    fractional = discrete and not np.array_equal(latents_NxZ, np.round(latents_NxZ))
    if fractional and max(samples.num_codes) > samples.num_samples / 2:
        raise UserError(
            f"a latent takes {max(samples.num_codes)} different values in {samples.num_samples} "
            "samples, so these are no codes: leave out --discrete, or pass indices"
        )
    get_dialect(dialect)
    others = [name for name in names if name != "infomec"]
    found, errors = compute_metrics(others, sources_NxS, latents_NxZ, discrete=discrete, seed=seed)
    scores = {name: _plain(values) for name, values in found.items()}
    report: dict[str, Any] = {
        "num_samples": samples.num_samples,
        "num_sources": samples.sources_NxS.shape[1],
        "num_latents": samples.latents_NxZ.shape[1],
        "discrete": discrete,
        "seed": seed,
        "metric_version": METRIC_VERSION,
        "dialect": get_dialect(dialect).name,
    }
    if "infomec" in names:
        infomec = compute_infomec(sources_NxS, latents_NxZ, discrete=discrete, dialect=dialect)
        scores["infomec"] = _plain(infomec.scores())
        report["infomec"] = _details(infomec)
    report["scores"] = {name: scores[name] for name in names if name in scores}
    report["errors"] = errors
    return report


def score_dialects(
    sources_NxS: np.ndarray, latents_NxZ: np.ndarray, *, discrete: bool
) -> dict[str, dict[str, Any]]:
    """InfoMEC of the same arrays by every dialect: by name its scores and decisions, or its error.

    Raises:
      InputError: arrays that none can score.
    """
    make_samples(sources_NxS, latents_NxZ, discrete=discrete)
    found: dict[str, dict[str, Any]] = {}
    for name in DIALECTS:
        try:
            infomec = compute_infomec(
                sources_NxS, latents_NxZ, discrete=discrete, dialect=name, heldout=False
            )
            found[name] = {
                "scores": _plain(infomec.scores()),
                "undefined": infomec.undefined,
                "protocol": infomec.protocol,
            }
        except InputError as error:
            found[name] = {"error": str(error)}
    return found


def format_report(report: dict[str, Any]) -> str:
    """The report as a table for the screen."""
    kind = "discrete" if report["discrete"] else "continuous"
    active = report.get("infomec", {}).get("active_latents")
    of_which = f" ({sum(active)} active)" if active else ""
    lines = [
        f"{report['num_samples']} samples, {report['num_sources']} sources, "
        f"{report['num_latents']} {kind} latents{of_which}; metrics version "
        f"{report['metric_version']}, dialect {report['dialect']}"
    ]
    rows = [
        (metric, name, _number(name, value))
        for metric, values in report["scores"].items()
        for name, value in values.items()
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for metric, name, value in rows:
        lines.append(f"{metric:<{widths[0]}}  {name:<{widths[1]}}  {value:>{widths[2]}}")
    lines += [f"{metric} failed: {error}" for metric, error in report["errors"].items()]
    if "infomec" in report:
        lines += [f"{what}: {how}" for what, how in report["infomec"]["protocol"].items()]
        lines += report["infomec"]["undefined"].values()
    if "dialects" in report:
        lines += ["", *_format_dialects(report["dialects"])]
    return "\n".join(lines)


def _format_dialects(dialects: dict[str, dict[str, Any]]) -> list[str]:
    """Dialects side by side, and how far apart they lie."""
    names = ("infom", "infoe", "infoc", "num_active")
    width = max(map(len, dialects))
    lines = [f"{'dialect':<{width}}  " + "  ".join(f"{name:>10}" for name in names)]
    for dialect, found in dialects.items():
        cells = [_number(name, found.get("scores", {}).get(name)) for name in names]
        lines.append(f"{dialect:<{width}}  " + "  ".join(f"{cell:>10}" for cell in cells))
    published = [
        found["scores"]
        for name, found in dialects.items()
        if name != "robust" and "scores" in found
    ]
    spreads = []
    for name in names:
        values = [scores[name] for scores in published if scores[name] is not None]
        spreads.append(_number(name, max(values) - min(values)))
    lines.append(f"{'largest - least':<{width}}  " + "  ".join(f"{cell:>10}" for cell in spreads))
    lines[-1] += "  (without robust)"
    for dialect, found in dialects.items():
        reasons = [found["error"]] if "error" in found else found["undefined"].values()
        lines += [f"{dialect}: {reason}" for reason in reasons]
    return lines


def _number(name: str, value: float | None) -> str:
    """A score for the screen: a count as a whole number, what is undefined as a dash."""
    if value is None:
        return "-"
    return f"{value:.0f}" if name.startswith("num_active") else f"{value:.4f}"


def _plain(scores: dict[str, float]) -> dict[str, float | None]:
    """Scores as JSON values: NaN, which is undefined, is null."""
    return {name: None if math.isnan(value) else value for name, value in scores.items()}


def _details(infomec: InfoMEC) -> dict[str, Any]:
    """What InfoMEC is made of, as JSON values; a term that is not defined is null."""

    def plain(values: np.ndarray) -> list:
        return [None if math.isnan(value) else value for value in values.tolist()]

    return {
        "nmi_SxZ": infomec.nmi_SxZ.tolist(),
        "active_latents": infomec.active_latents.tolist(),
        "varying_sources": infomec.varying_sources.tolist(),
        "infom_per_latent": plain(infomec.infom_Z),
        "infoc_per_source": plain(infomec.infoc_S),
        "infoe_per_source": plain(infomec.infoe_S),
        "h_source_null": infomec.h_source_null.tolist(),
        "h_source_empirical": infomec.h_source_empirical.tolist(),
        "protocol": infomec.protocol,
        "undefined": infomec.undefined,
    }


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        "eval.score",
        __doc__,
        epilog="metrics:\n" + "\n".join(f"  {m.name}: {m.description}" for m in METRICS.values()),
    )
    parser.add_argument("--sources", required=True, help="(N, S) class labels: npy, npz or csv")
    parser.add_argument("--latents", required=True, help="(N, Z) latents: npy, npz or csv")
    parser.add_argument("--discrete", action="store_true", help="latents are codes, not values")
    parser.add_argument("--metrics", default="infomec", help="names, separated by commas")
    parser.add_argument(
        "--dialect",
        default=DEFAULT_DIALECT,
        help=f"of InfoMEC: {', '.join(DIALECTS)}; or all, side by side",
    )
    parser.add_argument("--seed", type=int, default=0, help="for metrics that draw")
    parser.add_argument("--out", help="write the JSON here instead of to standard output")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run_command(main, mistakes=(InputError,)))
