"""InfoMEC golden cases `<case>/<dialect>/<score>` against `compute_infomec`, dialect by dialect."""

import math

import numpy as np

from eval.metrics.dialects import DIALECTS
from eval.metrics.errors import InputError
from eval.metrics.infomec import InfoMEC, compute_infomec
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
