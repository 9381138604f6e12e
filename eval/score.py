"""Scores arrays that were made elsewhere: `python -m eval.score --sources s.npy --latents z.npy`.

Files are npy, npz (`file.npz:key`, or the only key, or the one called "sources" or "latents") or
csv (numbers, with or without a line of names). Pickles are never loaded. The table goes to the
screen (standard error) and JSON to standard output, or with `--out FILE` into a file. Exit codes:
0, or 1 when a metric failed and its error is in the table, or 2 for a mistake in the arguments or
arrays.
"""

import argparse
import csv
import json
import math
import pathlib
import sys
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

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
    report = score(sources, latents, names, discrete=options.discrete, seed=options.seed)
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
) -> dict[str, Any]:
    """Runs metrics by name; returns what the command prints as JSON.

    Raises:
      UserError: an unknown or missing name, or arrays that no metric can score.
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
    others = [name for name in names if name != "infomec"]
    scores, errors = compute_metrics(others, sources_NxS, latents_NxZ, discrete=discrete, seed=seed)
    report: dict[str, Any] = {
        "num_samples": samples.num_samples,
        "num_sources": samples.sources_NxS.shape[1],
        "num_latents": samples.latents_NxZ.shape[1],
        "discrete": discrete,
        "seed": seed,
        "metric_version": METRIC_VERSION,
    }
    if "infomec" in names:
        infomec = compute_infomec(sources_NxS, latents_NxZ, discrete=discrete)
        scores["infomec"] = infomec.scores()
        report["infomec"] = _details(infomec)
    report["scores"] = {name: scores[name] for name in names if name in scores}
    report["errors"] = errors
    return report


def load_array(address: str, name: str) -> np.ndarray:
    """Reads an array from an npy, npz or csv file; never unpickles.

    Args:
      address: path of the file; for npz optionally followed by a colon and a key.
      name: "sources" or "latents": the key that is looked for in an npz of several arrays.

    Raises:
      UserError: no such file, an unknown suffix, or content that is not a numeric array.
    """
    path, _, key = address.rpartition(":") if ".npz:" in address else (address, "", "")
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"there is no file {path}: give the path of an npy, npz or csv file")
    try:
        if file.suffix == ".npy":
            return np.load(file, allow_pickle=False)
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                return arrays[_choose_key(path, arrays.files, key, name)]
        if file.suffix == ".csv":
            return _load_csv(file)
    except UserError:
        raise
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, AttributeError) as error:
        raise UserError(
            f"{path} holds no plain numeric array (pickled objects are never loaded): save one "
            f"with numpy.save or as csv"
        ) from error
    raise UserError(f"{path} has the suffix {file.suffix!r}: give an npy, npz or csv file")


def format_report(report: dict[str, Any]) -> str:
    """The report as a table for the screen."""
    kind = "discrete" if report["discrete"] else "continuous"
    active = report.get("infomec", {}).get("active_latents")
    of_which = f" ({sum(active)} active)" if active else ""
    lines = [
        f"{report['num_samples']} samples, {report['num_sources']} sources, "
        f"{report['num_latents']} {kind} latents{of_which}; metrics version "
        f"{report['metric_version']}"
    ]
    rows = [
        (metric, name, f"{value:.4f}")
        for metric, values in report["scores"].items()
        for name, value in values.items()
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for metric, name, value in rows:
        lines.append(f"{metric:<{widths[0]}}  {name:<{widths[1]}}  {value:>{widths[2]}}")
    lines += [f"{metric} failed: {error}" for metric, error in report["errors"].items()]
    return "\n".join(lines)


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
    }


def _choose_key(path: str, keys: list[str], key: str, name: str) -> str:
    """Which array of an npz to read."""
    if key and key not in keys:
        raise UserError(f"{path} has no array {key!r}: it has {', '.join(keys)}")
    if key:
        return key
    if len(keys) == 1:
        return keys[0]
    if name in keys:
        return name
    raise UserError(f"{path} has several arrays: append one as {path}:KEY of {', '.join(keys)}")


def _load_csv(file: pathlib.Path) -> np.ndarray:
    """Numbers, one sample a line; a first line without numbers is taken for names."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = [(number, row) for number, row in enumerate(csv.reader(lines), 1) if row]
    if rows and not any(_is_number(cell) for cell in rows[0][1]):
        rows = rows[1:]
    if not rows:
        raise UserError(f"{file} has no lines of numbers")
    width = len(rows[0][1])
    values = []
    for number, row in rows:
        if len(row) != width:
            raise UserError(f"{file} line {number} has {len(row)} values, expected {width}")
        try:
            values.append([float(cell) for cell in row])
        except ValueError as error:
            raise UserError(f"{file} line {number} is not made of numbers: {error}") from error
    return np.array(values)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


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
    parser.add_argument("--seed", type=int, default=0, help="for metrics that draw")
    parser.add_argument("--out", help="write the JSON here instead of to standard output")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run_command(main, mistakes=(InputError,)))
