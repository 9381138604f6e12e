"""Scores the checkpoints of one run: numbers to a record, pictures to PNG, both to TensorBoard."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from absl import logging
from etils import epath
from matplotlib.figure import Figure

from eval import plots
from eval.ceilings import compute_ceilings
from eval.draft import Draft, add_metrics
from eval.encode import Encoding
from eval.evaluation import Evaluation
from eval.metrics.dialects import find_active_latents, get_dialect
from eval.metrics.generalisation import compute_infoe_unseen
from eval.metrics.information import compute_nmi
from eval.metrics.registry import METRIC_VERSION, compute_metrics
from eval.metrics.samples import make_samples
from eval.pictures import Pictures
from eval.records import Record, load_record, mark_dialect, write_record
from eval.scoring import choose_dialect, find_record, list_missing, list_scored, list_splits
from qlae.common.logs import Logs, open_logs
from qlae.provenance import describe_origin
from qlae.restore import StoredRun
from qlae.run_directory import (
    flatten,
    get_config_id,
    get_matmul_precision,
    get_versions,
    list_steps,
    to_plain,
)
from qlae.training.state import Params

_NUM_SAMPLED = 500


@dataclass(frozen=True)
class Structure:
    """Which latent informs about which source: (S, Z) NMI, and (Z,) whether a latent is active."""

    nmi_SxZ: np.ndarray
    active_latents: np.ndarray


class Evaluator:
    """Evaluates the checkpoints of one run.

    Args:
        run: whose.
        evaluation: how; other runs may share it.
    """

    def __init__(self, run: StoredRun, evaluation: Evaluation):
        self.run, self.evaluation = run, evaluation
        self._log: Logs | None = None

    def list_pending(self) -> list[int]:
        """Returns the steps that have a finalised checkpoint and lack a record, ascending."""
        steps = list_steps(self.run.directory.path)
        scored = set(list_scored(self.run.directory.path, self.run.config, steps))
        return [step for step in steps if step not in scored]

    def score(self, step: int) -> Record:
        """Scores one checkpoint on every split that lacks a record; returns the last split's.

        Each record is written last: where it is, all else is too. One that lacks metrics, which the
        config names since then, is written again with them.

        Raises:
            UserError: the checkpoint cannot be read.
        """
        params = self.run.load(step, self.evaluation.layout.replicated)
        splits = [s for s in self._splits(step) if not self._is_whole(self._record(step, s))]
        return [self._score(params, step, split) for split in splits or self._splits(step)][-1]

    def _score(self, params: Params, step: int, split: str) -> Record:
        encoding = self.evaluation.encode(params, split)
        config, dialect = self.run.config, self._dialect
        latents_NxZ = encoding.latents_NxZ
        if config.data.protocol == "paper" and encoding.z_hat_NxZ.shape == latents_NxZ.shape:
            # The trainer scores the floats that the decoder reads, not indices.
            latents_NxZ = encoding.z_hat_NxZ
        options: dict[str, Any] = {"discrete": self._discrete, "dialect": dialect}
        path = self._record(step, split)
        before = load_record(path) if path.exists() else None
        draft = Draft(path)
        scores, errors = draft.compute(
            list_missing(path, config) if before else config.eval.metrics,
            lambda name: compute_metrics([name], encoding.sources_NxS, latents_NxZ, **options),
        )
        if len(self.evaluation.data.split.unseen_indices) and split == "test":
            unseen = self.evaluation.encode(params, "unseen")
            scores["unseen"] = compute_infoe_unseen(
                (encoding.sources_NxS, encoding.latents_NxZ),
                (unseen.sources_NxS, unseen.latents_NxZ),
                **options,
            ) | {"psnr_unseen": float(unseen.psnr_N.mean())}
        structure = compute_structure(encoding, self._discrete)
        if split not in self.evaluation.ceilings:
            self.evaluation.ceilings[split] = compute_ceilings(
                config.eval.metrics, encoding.sources_NxS, **options
            )
        record = dataclasses.replace(
            self._make_record(step, encoding, scores, errors, structure),
            split=split,
            dialect=dialect,
            decisions=get_dialect(dialect).describe(
                make_samples(encoding.sources_NxS, latents_NxZ, discrete=self._discrete)
            ),
            ceilings=self.evaluation.ceilings[split],
            latent_sample=_sample(encoding.latents_NxZ) if split == "validation" else None,
        )
        if before:
            record = add_metrics(before, record)
        pictures = self.evaluation.illustrate(params, encoding)
        if self._is_whole(path):
            return load_record(path)  # another worker was quicker; its numbers are the same
        self._publish(record, structure, pictures, encoding)
        write_record(self.run.directory.path, record)
        draft.delete()
        return record

    def close(self) -> None:
        """Flushes TensorBoard, if anything was written."""
        if self._log is not None:
            self._log.close()

    @property
    def _discrete(self) -> bool:
        return self.evaluation.abstract_model.latents.num_values is not None

    @property
    def _dialect(self) -> str:
        return choose_dialect(self.run.config)

    def _splits(self, step: int) -> tuple[str, ...]:
        return list_splits(self.run.config, step)

    def _record(self, step: int, split: str) -> epath.Path:
        return find_record(self.run.directory.path, self.run.config, step, split)

    def _is_whole(self, path: epath.Path) -> bool:
        return path.exists() and not list_missing(path, self.run.config)

    def _make_record(
        self,
        step: int,
        encoding: Encoding,
        scores: dict[str, dict[str, float]],
        errors: dict[str, str],
        structure: Structure,
    ) -> Record:
        config = self.run.config
        flat = {name: value for metric in scores.values() for name, value in metric.items()}
        return Record(
            model=config.arm,
            dataset=config.data.name,
            seed=config.seed,
            protocol=self.evaluation.data.split.protocol,
            step=step,
            metric_version=METRIC_VERSION,
            num_samples=len(encoding.sources_NxS),
            scores={**flat, **self._reconstruction(encoding)},
            errors=errors,
            source_names=self._source_names,
            nmi_SxZ=structure.nmi_SxZ.tolist(),
            active_latents=structure.active_latents.tolist(),
            versions=get_versions(),
            config_id=get_config_id(config),
            matmul_precision=get_matmul_precision(config),
            metrics=[*config.eval.metrics],
        )

    @property
    def _source_names(self) -> list[str]:
        names = self.evaluation.data.dataset.spec.source_names
        return [names[i] for i in self.evaluation.data.split.scored_sources]

    def _reconstruction(self, encoding: Encoding) -> dict[str, float]:
        """How well images are reconstructed; of quantized latents also what quantization costs."""
        found = {"psnr": encoding.psnr_N, "bce": encoding.bce_N}
        if self._discrete:
            found["straight_through_gap"] = encoding.gap_N
        return {name: float(values.mean()) for name, values in found.items()}

    def _publish(
        self, record: Record, structure: Structure, pictures: Pictures, encoding: Encoding
    ) -> None:
        step = record.step
        if self._log is None:
            self._log = self._open_logs(step)
        directory = self._record(step, record.split).parent / f"step_{step:09d}"
        directory.mkdir(parents=True, exist_ok=True)
        mark = mark_dialect(record.dialect)
        curves = f"eval/{directory.parent.name}{mark}"
        for name, value in record.scores.items():
            self._log.add_scalar(f"{curves}/{name}", value, step)
        for latent, codes_N in enumerate(encoding.latents_NxZ.T):
            self._log.add_histogram(f"codes{mark}/z{latent}", codes_N, step)
        for name, figure in make_figures(record, structure, pictures).items():
            (directory / f"{name}.png").write_bytes(plots.to_png(figure))
            image = plots.to_array(figure)
            self._log.add_image(f"{curves}/{name}", image, step)
        self._log.flush()
        logging.info("step %d: pictures in %s", step, directory)

    def _open_logs(self, step: int) -> Logs:
        log = open_logs(self.run.directory.path / "logs" / "eval")
        for name, text in describe_origin(self.run.config, "evaluated").items():
            log.add_text(name, text, step)
        log.add_hyperparameters(flatten(to_plain(self.run.config)))
        return log


def _sample(latents_NxZ: np.ndarray) -> list[list[float]]:
    """Latents of images spread over the set, the same images in every run; 4 digits are enough."""
    rows = np.linspace(0, len(latents_NxZ) - 1, min(_NUM_SAMPLED, len(latents_NxZ))).astype(int)
    return np.round(latents_NxZ[rows].astype(np.float64), 4).tolist()


def compute_structure(encoding: Encoding, discrete: bool) -> Structure:
    """Returns the NMI of all sources and latents, for pictures and records."""
    samples = make_samples(encoding.sources_NxS, encoding.latents_NxZ, discrete=discrete)
    return Structure(compute_nmi(samples), find_active_latents(samples))


def make_figures(record: Record, structure: Structure, pictures: Pictures) -> dict[str, Figure]:
    """Returns the figures of one checkpoint by name."""
    names = [name.replace("_", " ") for name in record.source_names]
    labels = [
        f"z{latent} {names[nmi_S.argmax()]} {nmi_S.max():.2f}" if active else f"z{latent} inactive"
        for latent, (nmi_S, active) in enumerate(
            zip(structure.nmi_SxZ.T, structure.active_latents, strict=True)
        )
    ]
    title = f"{record.model} · {record.dataset} · {record.protocol} · step {record.step:,}"
    figures: dict[str, Any] = {
        "reconstructions": plots.plot_reconstructions(pictures.originals, pictures.reconstructions),
        "traversals": plots.plot_traversals(
            pictures.traversals, pictures.base_column, labels, structure.active_latents
        ),
        "nmi": plots.plot_nmi(
            structure.nmi_SxZ, record.source_names, structure.active_latents, title
        ),
    }
    if pictures.samples is not None:
        figures["samples"] = plots.plot_samples(pictures.samples)
    return figures
