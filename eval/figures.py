"""Figures of many runs: `python -m eval.figures RUN [RUN ...] --out=DIR`.

  scores.png         every run by arm, with mean and 95% interval
  scores_by_step.png the same against the step, on validation images where they were scored
  nmi.png            what latents know of sources, one run an arm
  densities.png      how latents are distributed, one run an arm (from validation records)
  interventions_ARM.png  with --decode: each active latent of that run swept in several images;
                     needs its checkpoint and the dataset

The one run of an arm is that of the median of the first score. Figures are of one dataset and one
kind of evaluation; where there are several, --dataset, --protocol and --split choose.
"""

import argparse
import re
import sys
from collections.abc import Sequence

import numpy as np
from etils import epath
from matplotlib.figure import Figure

from eval.aggregate import choose_scores, get_kind, get_row, label_rows, run_key
from eval.arm_plots import plot_densities, plot_nmi_maps, plot_scores, plot_scores_by_step
from eval.clear_images import find_clear_images
from eval.evaluation import Evaluations
from eval.output import put_notes
from eval.pictures import sweep_values
from eval.plots import plot_traversals, to_png
from eval.records import Record, load_records
from eval.results import choose, collect
from qlae.common.command_line import Parser, run_command
from qlae.common.errors import UserError
from qlae.common.files import to_path
from qlae.restore import RestoredModel, open_run
from qlae.run_directory import find_runs

_NUM_IMAGES = 3


class Arms:
    """The records of one dataset and one kind of evaluation, by arm.

    Attributes:
        last: by arm, the last record of each run.
        all: by arm, the records of each run's course.
        typical: by arm, the last record of the run with the median first score.
    """

    def __init__(self, records: list[Record], split: str, score: str):
        chosen = choose(records, split)
        kinds = {(record.dataset, *get_kind(record)._replace(step=0)) for record in chosen}
        if len(kinds) > 1:
            raise UserError(
                f"figures are of one dataset and kind of evaluation, but there are {len(kinds)}: "
                "choose by --dataset, --protocol or fewer runs"
            )
        labels, _ = label_rows(chosen)
        self.last: dict[str, list[Record]] = {}
        for record in sorted(chosen, key=lambda record: record.seed):
            self.last.setdefault(labels[get_row(record)], []).append(record)
        self.all = {
            arm: [_list_course(records, record) for record in runs]
            for arm, runs in self.last.items()
        }
        self.typical = {
            arm: sorted(runs, key=lambda record: record.scores.get(score, -np.inf))[
                (len(runs) - 1) // 2
            ]
            for arm, runs in self.last.items()
        }


def main(arguments: Sequence[str]) -> None:
    """Writes the figures, and names them."""
    options = _parse(arguments)
    records, _, notes = collect(options.runs)
    records = _choose_dataset(records, options.dataset)
    records = [r for r in records if options.protocol in (None, r.protocol)]
    scores = choose_scores(records, tuple(filter(None, options.scores.split(","))))
    arms = Arms(records, options.split, scores[0])
    figures = make_figures(arms, records, scores)
    if options.decode:
        evaluations, workdirs = Evaluations(options.data_dir), _find_workdirs(options.runs)
        for arm, record in arms.typical.items():
            workdir = workdirs[_name_run(record)]
            name = re.sub(r"[^\w.-]+", "_", arm).strip("_")
            figures[f"interventions_{name}"] = plot_interventions(record, workdir, evaluations)
    folder = to_path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        (folder / f"{name}.png").write_bytes(to_png(figure))
        print(folder / f"{name}.png")
    put_notes(notes)


def make_figures(arms: Arms, records: list[Record], scores: Sequence[str]) -> dict[str, Figure]:
    """Returns those figures, by name, that the records suffice for."""
    figures = {
        "scores": plot_scores(
            {
                score: {arm: _finite(runs, score) for arm, runs in arms.last.items()}
                for score in scores
            }
        ),
        "scores_by_step": plot_scores_by_step(
            {
                score: {
                    arm: [
                        {r.step: r.scores[score] for r in run if score in r.scores} for run in runs
                    ]
                    for arm, runs in arms.all.items()
                }
                for score in scores
            }
        ),
    }
    mapped = {arm: record for arm, record in arms.typical.items() if record.nmi_SxZ}
    if mapped:
        maps = {arm: np.array(record.nmi_SxZ) for arm, record in mapped.items()}
        active = {arm: np.array(record.active_latents) for arm, record in mapped.items()}
        names = next(iter(mapped.values())).source_names
        figures["nmi"] = plot_nmi_maps(maps, names, active)
    sampled = {
        arm: np.array(other.latent_sample)
        for arm, record in arms.typical.items()
        for other in records
        if other.latent_sample
        and other.step == record.step
        and _name_run(other) == _name_run(record)
    }
    if sampled:
        figures["densities"] = plot_densities(sampled)
    return figures


def plot_interventions(record: Record, workdir: epath.Path, evaluations: Evaluations) -> Figure:
    """Decodes several clear images with each active latent swept, an image a row.

    Raises:
        UserError: the checkpoint or the dataset is not here.
    """
    run = open_run(workdir)
    evaluation = evaluations.find(run)
    params = run.load(record.step, evaluation.layout.replicated)
    encoding = evaluation.encode(params, record.split)
    model = RestoredModel(run.program.merge(params), run.directory, run.facts, record.step)
    dataset = evaluation.data.dataset
    sources_NxS = dataset.spec.sources_at(encoding.indices_N)
    images = find_clear_images(dataset.spec, sources_NxS, _NUM_IMAGES)
    pictures = dataset.images(encoding.indices_N[images])
    num_values_Z = evaluation.abstract_model.latents.num_values_Z
    rows, labels, bases = [], [], []
    for latent in np.flatnonzero(record.active_latents or np.ones(model.num_latents)).tolist():
        column_N = encoding.latents_NxZ[:, latent]
        for image, picture in zip(images, pictures, strict=True):
            size = num_values_Z[latent] if num_values_Z else None
            values = sweep_values(column_N, column_N[image], size)
            rows.append(model.traverse(picture, latent, values))
            labels.append("" if image != images[0] else f"z{latent}")
            bases.append(int(np.abs(values - column_N[image]).argmin()))
    return plot_traversals(rows, bases, labels, [True] * len(rows))


def _list_course(records: list[Record], last: Record) -> list[Record]:
    """Returns a run's records on validation images, or, where there are none, those like `last`."""
    own = [record for record in records if _name_run(record) == _name_run(last)]
    course = [record for record in own if record.split == "validation"]
    return course or [record for record in own if record.split == last.split]


def _find_workdirs(roots: Sequence[str]) -> dict[tuple, epath.Path]:
    """Returns the run directories by what their records call them; the first of several."""
    found: dict[tuple, epath.Path] = {}
    for workdir in (workdir for root in roots for workdir in find_runs(root)):
        for record in load_records(workdir):
            found.setdefault(_name_run(record), workdir)
    return found


def _name_run(record: Record) -> tuple:
    """What the records of one run under one protocol and metric version share."""
    return (*run_key(record), record.protocol, record.metric_version)


def _choose_dataset(records: list[Record], dataset: str | None) -> list[Record]:
    kept = [record for record in records if dataset in (None, record.dataset)]
    if not kept:
        there = ", ".join(sorted({record.dataset for record in records}))
        raise UserError(f"no record of dataset {dataset!r}: there is {there}")
    return kept


def _finite(records: Sequence[Record], score: str) -> list[float]:
    values = [record.scores.get(score, np.nan) for record in records]
    return [value for value in values if np.isfinite(value)]


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser("eval.figures", __doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directory, or folder of them")
    parser.add_argument("--out", required=True, help="folder for the figures")
    parser.add_argument("--scores", default="infom,infoe,infoc", help="names, by comma")
    parser.add_argument("--split", default="test", help="test, or validation")
    parser.add_argument("--dataset", help="only this one")
    parser.add_argument("--protocol", help="only this one")
    parser.add_argument("--decode", action="store_true", help="also interventions.png")
    parser.add_argument("--data_dir", help="where datasets are, if not where the trainer had them")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run_command(main))
