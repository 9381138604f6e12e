"""Which metric to trust for what: `python -m experiments.benchmarks.validity`.

Generators of sources x encoders of them, of which it is known what a score should say (the grid of
identifiability-guard, 500 samples of 5 sources; see `tests/golden/guard_grid.npz`): each metric's
number in each cell, with false alarms (high where it should be low) and misses marked.
"""

import pathlib
import sys
from collections.abc import Sequence

import numpy as np

from eval.metrics.errors import InputError
from eval.metrics.registry import METRICS, compute_metrics, get_metric
from eval.metrics.samples import cut_into_bins
from experiments.benchmarks.report import RESULTS, write_report
from qlae.common.command_line import Parser, run_command
from qlae.common.errors import make_unknown_name_error

GRID = pathlib.Path(__file__).parents[2] / "tests" / "golden" / "guard_grid.npz"
ENCODERS = {
    "E1": "scaled, permuted",
    "E2": "bent, permuted",
    "E3": "mixed",
    "E4": "one left out",
    "E5": "E1 and a repeat",
    "E6": "E2 and a repeat",
    "E7": "mixed into 2 d",
    "E8": "sine and cosine",
    "E9": "noise",
    "E10": "noise",
}
# Which encoders a score should be high (+) or low (-) for, by what it is meant to measure, where
# sources are independent (D1). What is in neither is for it to grade.
_ONE_SOURCE_A_LATENT = ({"E1", "E2", "E4", "E5", "E6", "E8"}, {"E3", "E7", "E9", "E10"})
_ONE_LATENT_A_SOURCE = ({"E1", "E2"}, {"E3", "E7", "E9", "E10"})
_TOLD = ({"E1", "E3", "E5", "E7"}, {"E9", "E10"})
MEANT = {
    "infom": _ONE_SOURCE_A_LATENT,
    "infom_robust": _ONE_SOURCE_A_LATENT,
    "modularity": _ONE_SOURCE_A_LATENT,
    "dci_forest_disentanglement": _ONE_SOURCE_A_LATENT,
    "factor_vae": _ONE_SOURCE_A_LATENT,
    "beta_vae": _ONE_SOURCE_A_LATENT,
    "infoc": _ONE_LATENT_A_SOURCE,
    "infoc_robust": _ONE_LATENT_A_SOURCE,
    "mig": _ONE_LATENT_A_SOURCE,
    "sap": _ONE_LATENT_A_SOURCE,
    "dci_forest_completeness": _ONE_LATENT_A_SOURCE,
    "mcc": _ONE_LATENT_A_SOURCE,
    "mcc_spearman": _ONE_LATENT_A_SOURCE,
    "mcc_coverage": _ONE_LATENT_A_SOURCE,
    "mcc_crossfit": _ONE_LATENT_A_SOURCE,
    "tmex": _ONE_LATENT_A_SOURCE,
    "infoe": _TOLD,
    "infoe_heldout": _TOLD,
    "infoe_robust": _TOLD,
    "r2": _TOLD,
    "r2_intercept": _TOLD,
    "dci_forest_informativeness": _TOLD,
}
MIDDLE = 0.5
GENERATORS = ("D1", "D2", "D3", "D4")
# Minutes of boosting would say what the forests do.
_LEFT_OUT = ("dci",)


def main(given: Sequence[str]) -> None:
    """Measures and writes `results/validity.{json,md,png}`."""
    parser = Parser("experiments.benchmarks.validity", __doc__)
    parser.add_argument("--metrics", default=",".join(m for m in METRICS if m not in _LEFT_OUT))
    parser.add_argument("--generators", default=",".join(GENERATORS))
    parser.add_argument("--dry_run", action="store_true", help="measure, but write no report")
    options = parser.parse_args(given)
    metrics, generators = options.metrics.split(","), options.generators.split(",")
    for name in metrics:
        get_metric(name)
    for name in generators:
        if name not in GENERATORS:
            raise make_unknown_name_error("generator", name, GENERATORS)
    scores = measure(metrics, generators)
    rows = make_rows(scores)
    if options.dry_run:
        print(rows)
        return
    write_report("validity", "What metrics say of codes that are known", rows, _NOTES)
    plot(scores, RESULTS / "validity.png")


_NOTES = """
One row a metric and generator of sources (D1 independent, D2 correlated by 0.5, D3 and D4 one
source made of others), one column an encoder: E1 sources scaled and permuted; E2 each bent by a
function of its own, mostly one to one and heavy-tailed; E3 mixed by a dense matrix; E4 as E1
without one source; E5, E6 as E1, E2 with one latent repeated; E7 mixed into twice as many; E8 sine
and cosine of each; E9, E10 noise. 500 samples, 5 sources, which metrics of classes see in 20 bins.

Under D1, and for noise under any generator, it is known what a score should say: **A** marks a
false alarm (above 0.5 where it should be low), **m** a miss (below 0.5 where it should be high).
InfoE and R2 read linearly; how bent sources should score is not judged.

Measure again: `python -m experiments.benchmarks.validity`.
"""


def measure(names: list[str], generators: list[str]) -> dict[tuple[str, str, str], float]:
    """Scores by (generator, encoder, name of the score)."""
    found = {}
    with np.load(GRID, allow_pickle=False) as grid:
        for generator in generators:
            values = grid[f"{generator}/sources"]
            for encoder in ENCODERS:
                latents = grid[f"{generator}/{encoder}/latents"]
                if not np.isfinite(latents).all():
                    continue
                for name in names:
                    # Metrics of classes see bins; those of numbers the numbers.
                    real = name in ("mcc", "r2", "tmex")
                    sources = values if real else cut_into_bins(values)
                    scores, _ = compute_metrics([name], sources, latents, discrete=False)
                    for values_of in scores.values():
                        for score, value in values_of.items():
                            found[generator, encoder, score] = value
    return found


def judge(generator: str, encoder: str, score: str, value: float) -> str:
    """ "A" for a false alarm, "m" for a miss, "" for what is right or not known."""
    high, low = MEANT[score]
    if encoder in low and (generator == "D1" or encoder in ("E9", "E10")) and value > MIDDLE:
        return "A"
    return "m" if generator == "D1" and encoder in high and not value > MIDDLE else ""


def make_rows(scores: dict[tuple[str, str, str], float]) -> list[dict]:
    """One row for each score and generator."""
    rows = []
    for score in MEANT:
        for generator in dict.fromkeys(key[0] for key in scores):
            row: dict = {"metric": score, "sources": generator}
            wrong = 0
            for encoder in ENCODERS:
                value = scores.get((generator, encoder, score))
                if value is None:
                    row[encoder] = "-"
                    continue
                mark = judge(generator, encoder, score, value)
                wrong += bool(mark)
                row[encoder] = f"{value:.2f}" + (f" **{mark}**" if mark else "")
            if any(row[encoder] != "-" for encoder in ENCODERS):
                rows.append(row | {"wrong": wrong})
    return rows


def plot(scores: dict[tuple[str, str, str], float], path: pathlib.Path) -> None:
    """Draws independent sources as a map of metrics and encoders, what is wrong in red."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [score for score in MEANT if ("D1", "E1", score) in scores]
    table = np.array(
        [[scores.get(("D1", encoder, score), np.nan) for encoder in ENCODERS] for score in shown]
    )
    figure = Figure(figsize=(9, 0.36 * len(shown) + 1.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.clip(table, 0, 1), cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
    for i, score in enumerate(shown):
        for j, encoder in enumerate(ENCODERS):
            wrong = judge("D1", encoder, score, table[i, j])
            color, weight = ("crimson", "bold") if wrong else ("black", "normal")
            text = f"{table[i, j]:.2f}"
            axes.text(j, i, text, ha="center", va="center", size=8, color=color, weight=weight)
    labels = [f"{encoder}\n{words}" for encoder, words in ENCODERS.items()]
    axes.set_xticks(range(len(ENCODERS)), labels, fontsize=7, rotation=35, ha="right")
    axes.set_yticks(range(len(shown)), shown, fontsize=8)
    axes.set_title("Independent sources: red says the wrong thing", fontsize=10)
    FigureCanvasAgg(figure).print_png(str(path))


if __name__ == "__main__":
    sys.exit(run_command(main, mistakes=(InputError,)))
