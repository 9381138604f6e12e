"""Golden cases of metrics: InfoMEC by dialect, and what identifiability-guard computes beside it.

Keys are `<case>/<dialect>/<score>` or, of the grid, `<generator>/<encoder>/<score>`; sources lie
under the case or generator, latents under the case or encoder.
"""

import math

import numpy as np

from eval.metrics.dialects import DIALECTS
from eval.metrics.errors import InputError
from eval.metrics.infomec import InfoMEC, compute_infomec
from eval.metrics.registry import compute_metrics
from eval.metrics.samples import cut_into_bins
from tests.parity.compare import Kind

# All ties, which kNN programs break at random: only InfoE is a property of these samples.
_TIED = ("cont_quantized_values",)


def check_dialects(arrays: dict[str, np.ndarray]) -> list[Kind]:
    """Errors in units of the tolerances of dialects.md, one kind for each dialect and score."""
    kinds: dict[str, Kind] = {}
    for case in dict.fromkeys(key.split("/")[0] for key in arrays):
        for dialect in DIALECTS:
            golden = {
                key.rsplit("/", 1)[1]: value
                for key, value in arrays.items()
                if key.startswith(f"{case}/{dialect}/")
            }
            if golden:
                _check_case(kinds, arrays, case, dialect, golden)
    return list(kinds.values())


# Our name of a score, and guard's.
_SCORES = {
    "mcc": "mcc_pearson",
    "mcc_spearman": "mcc_spearman",
    "mcc_coverage": "mcc_pearson_coverage",
    "mcc_crossfit": "mcc_pearson_crossfit",
    "r2": "r2",
    "tmex": "tmex",
    "tmex_errors": "tmex_errors",
}
# On 500 samples; the spread of guard's tie breaking is within it.
_GRID_LIMITS = {"infoe": 2e-3, "infom": 1e-2, "infoc": 1e-2}


def check_guard(arrays: dict[str, np.ndarray]) -> list[Kind]:
    """Errors of MCC, R2 and T-MEX, and on a grid of InfoMEC, in units of their tolerance."""
    kinds = {name: Kind(name, "of the tolerance", 1.0) for name in _SCORES}
    grid = {name: Kind(name, "of the tolerance", 1.0) for name in _GRID_LIMITS}
    for key in arrays:
        if not key.endswith("/latents"):
            continue
        place = key.removesuffix("/latents")
        sources, latents = arrays[f"{place.split('/')[0]}/sources"], arrays[key]
        names, _ = compute_metrics(("mcc", "r2", "tmex"), sources, latents, discrete=False)
        found = {name: value for scores in names.values() for name, value in scores.items()}
        coarse = sources if sources.dtype.kind in "iu" else cut_into_bins(sources)
        golden = place if f"{place}/mcc_pearson" in arrays else f"{place}/guard2026"
        for name, theirs in _SCORES.items():
            if f"{golden}/{theirs}" in arrays:
                error = abs(found[name] - float(arrays[f"{golden}/{theirs}"]))
                kinds[name].errors[place] = np.asarray(error / 1e-6)
        if f"{place}/infom" in arrays:
            guard = compute_infomec(coarse, latents, discrete=False, dialect="guard2026")
            # Through sinh all but a few samples tie, and guard's random tie breaking decides.
            tied = place.endswith(("/E2", "/E6"))
            for name in ("infoe",) if tied else _GRID_LIMITS:
                error = abs(getattr(guard, name) - float(arrays[f"{place}/{name}"]))
                grid[name].errors[place] = np.asarray(error / _GRID_LIMITS[name])
    return [kind for kind in (*kinds.values(), *grid.values()) if kind.errors]


def _check_case(
    kinds: dict[str, Kind], arrays: dict, case: str, dialect: str, golden: dict
) -> None:
    discrete = bool(arrays[f"{case}/discrete"])

    def add(score: str, error: float) -> None:
        name = f"{dialect}/{score}"
        kind = kinds.setdefault(name, Kind(name, "of the tolerance", 1.0))
        kind.errors[case] = np.asarray(error)

    try:
        found = compute_infomec(
            arrays[f"{case}/sources"],
            arrays[f"{case}/latents"],
            discrete=discrete,
            dialect=dialect,
            heldout=False,
        )
    except InputError:
        add("refuses", 0.0 if "error" in golden else math.inf)
        return
    if "error" in golden:
        return  # We accept more: integer codes, and in the default dialect every edge.
    add("active", math.inf if np.any(found.active_latents != golden["active"]) else 0.0)
    add("infoe", abs(found.infoe - golden.get("infoe_float64", golden["infoe"])) / 2e-3)
    if case not in _TIED:
        _check_information(add, found, golden, discrete)


def _check_information(add, found: InfoMEC, golden: dict, discrete: bool) -> None:
    for score in ("infom", "infoc"):
        ours, theirs = getattr(found, score), float(golden[score])
        if math.isnan(theirs):
            # Undefined there; here too, but in the dialect in which every edge is defined.
            agree = math.isnan(ours) or found.dialect.name == "lq2023"
            add(score, 0.0 if agree else math.inf)
            continue
        limit = 1e-6 if discrete else 5 * golden.get(f"{score}_dev", 0.0) + 2e-4
        add(score, abs(ours - theirs) / limit)
    for score in ("infom_gap", "infoc_gap"):
        if score in golden and np.isfinite(golden[score]):
            limit = 1e-6 if discrete else 5 * golden.get(f"{score}_dev", 0.0) + 2e-4
            add(score, abs(getattr(found, score) - golden[score]) / limit)
    limit = 1e-6 if discrete else 5 * golden.get("nmi_dev", 0.0) + 2e-3
    add("nmi", np.abs(found.nmi_SxZ - golden["nmi"]).max() / limit)
