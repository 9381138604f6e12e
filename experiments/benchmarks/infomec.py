"""InfoMEC beside scikit-learn estimators arranged as the paper describes: `python -m
experiments.benchmarks.infomec`.

The same arrays, in the same process, with the same number of threads for both. scikit-learn:
mutual_info_score or mutual_info_classif (10 neighbours) for each pair, and an unpenalised, balanced
LogisticRegression on one-hot codes or standardised values for each source. The one-hot matrix is
given both sparse (what OneHotEncoder makes by default) and dense; ratios are against either.
"""

import functools
import os
import sys
import warnings
from collections.abc import Callable, Sequence

# Read when the linear algebra libraries are loaded, so set before numpy is imported. Ours follows
# the same pin.
NUM_THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = str(NUM_THREADS)

import numpy as np  # noqa: E402
from sklearn import exceptions, feature_selection, linear_model, metrics, preprocessing  # noqa: E402

from eval.metrics import explicitness, information  # noqa: E402
from eval.metrics.dialects import DIALECTS  # noqa: E402
from eval.metrics.infomec import compute_infomec  # noqa: E402
from eval.metrics.samples import make_samples  # noqa: E402
from experiments.benchmarks.report import median_seconds_in_turn, write_report  # noqa: E402
from qlae.common.command_line import Parser, run_command  # noqa: E402

NUM_SAMPLES = 10_000
CARDINALITIES = (10, 10, 10, 8, 4, 15)  # Shapes3D
NUM_CODES = 10


def main(given: Sequence[str]) -> None:
    """Measures and writes `results/infomec.{json,md}`."""
    parser = Parser("experiments.benchmarks.infomec", __doc__)
    parser.add_argument("--samples", type=int, default=NUM_SAMPLES)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dry_run", action="store_true", help="measure, but write no report")
    options = parser.parse_args(given)
    sources, codes, values = make_arrays(options.samples)
    rows = [
        *compare(sources, codes, True, "sparse", options.repeats),
        *compare(sources, codes, True, "dense", options.repeats),
        *compare(sources, values, False, "", options.repeats),
    ]
    if options.dry_run:
        print(rows)
        return
    name = "infomec" if NUM_THREADS == 1 else f"infomec_{NUM_THREADS}_threads"
    write_report(
        name, f"InfoMEC beside scikit-learn, threads pinned to {NUM_THREADS}", rows, _NOTES
    )


_NOTES = f"""
{NUM_SAMPLES:,} samples of Shapes3D's sources and 12 latents: codes of {NUM_CODES} values, or real
values. `ours` and `scikit-learn` are medians in seconds, in one process, with the same pin of
threads; `ratio` is theirs over ours; `difference` is the largest absolute difference of the numbers
(NMI, or InfoE by source). Goals: 5 or more in all for codes, 10 or more in all for real values.
"One-hot sparse" is scikit-learn's faster arrangement, "one-hot dense" the plain one.

Measure again: `OMP_NUM_THREADS=1 python -m experiments.benchmarks.infomec`, and with 2.
"""


def make_arrays(num_samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sources (N, 6), codes (N, 12) and real latents (N, 12) like those of a half-trained model.

    One latent follows each source with growing noise, four mix two sources, and two say nothing.
    """
    random = np.random.default_rng(0)
    sources = np.stack([random.integers(0, size, num_samples) for size in CARDINALITIES], axis=1)
    unit = sources / np.array(CARDINALITIES)
    columns = [unit[:, i] + random.normal(size=num_samples) * 0.02 * (i + 1) for i in range(6)]
    columns += [
        0.7 * unit[:, i] + 0.3 * unit[:, i + 1] + random.normal(size=num_samples) * 0.05
        for i in range(4)
    ]
    columns += [random.normal(size=num_samples) for _ in range(2)]
    values = np.stack(columns, axis=1)
    edges = np.quantile(values, np.linspace(0, 1, NUM_CODES + 1)[1:-1], axis=0)
    codes = np.stack([np.searchsorted(edges[:, j], values[:, j]) for j in range(12)], axis=1)
    return sources, codes, values


def compare(
    sources: np.ndarray, latents: np.ndarray, discrete: bool, layout: str, repeats: int
) -> list[dict]:
    """Rows for NMI, InfoE and both."""
    samples = make_samples(sources, latents, discrete=discrete)
    everything = np.arange(len(sources))
    ours: dict[str, Callable] = {
        "NMI": lambda: information.compute_nmi(samples),
        "InfoE": lambda: explicitness.compute_explicitness(
            samples, everything, everything, DIALECTS["lq2023"]
        ),
        "all": lambda: compute_infomec(sources, latents, discrete=discrete, heldout=False),
    }
    nmi = functools.partial(compute_sklearn_nmi, sources, latents, discrete)
    infoe = functools.partial(compute_sklearn_infoe, sources, latents, discrete, layout == "dense")
    theirs: dict[str, Callable] = {"NMI": nmi, "InfoE": infoe, "all": lambda: (nmi(), infoe())}
    kind = f"12 codes, one-hot {layout}" if discrete else "12 real latents"
    rows = []
    for name in ours:
        difference = None if name == "all" else np.abs(ours[name]() - theirs[name]()).max()
        own, other = median_seconds_in_turn([ours[name], theirs[name]], repeats)
        row = {"latents": kind, "part": name, "ours": own, "scikit-learn": other}
        row |= {"ratio": other / own, "difference": "" if difference is None else float(difference)}
        rows.append(row)
    return rows


def compute_sklearn_nmi(sources: np.ndarray, latents: np.ndarray, discrete: bool) -> np.ndarray:
    """(S, Z) NMI by scikit-learn, one pair or one source at a time."""
    rows = []
    for labels in sources.T:
        if discrete:
            row = [metrics.mutual_info_score(labels, codes) for codes in latents.T]
        else:
            unit = preprocessing.StandardScaler().fit_transform(latents)
            row = feature_selection.mutual_info_classif(
                unit,
                labels,
                discrete_features=False,
                n_neighbors=10,
                random_state=0,
                n_jobs=NUM_THREADS,
            )
        rows.append(np.array(row) / metrics.mutual_info_score(labels, labels))
    return np.stack(rows)


def compute_sklearn_infoe(
    sources: np.ndarray, latents: np.ndarray, discrete: bool, dense: bool
) -> np.ndarray:
    """(S,) InfoE by scikit-learn, one source at a time."""
    if discrete:
        features = preprocessing.OneHotEncoder(sparse_output=not dense).fit_transform(latents)
    else:
        features = preprocessing.StandardScaler().fit_transform(latents)
    scores = []
    for labels in sources.T:
        model = linear_model.LogisticRegression(C=np.inf, class_weight="balanced", max_iter=100)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
            model.fit(features, labels)
        loss = metrics.log_loss(labels, model.predict_proba(features))
        scores.append(1 - loss / np.log(len(model.classes_)))
    return np.array(scores)


if __name__ == "__main__":
    sys.exit(run_command(main))
