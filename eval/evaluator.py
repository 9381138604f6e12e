"""Scores the checkpoints of one run: numbers to a record, pictures to PNG, both to TensorBoard."""

import json
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from absl import logging
from etils import epath
from matplotlib.figure import Figure

from eval import plots
from eval.encode import Encoding
from eval.evaluation import Evaluation
from eval.metrics.infomec import find_active_latents
from eval.metrics.information import compute_nmi
from eval.metrics.registry import METRIC_VERSION, compute_metrics
from eval.metrics.samples import make_samples
from eval.pictures import Pictures
from eval.records import Record, record_path, write_record
from qlae.common.event_log import EventLog
from qlae.restore import StoredRun
from qlae.run_directory import get_config_id, get_versions, list_steps, to_plain


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
        self._log: EventLog | None = None

    def list_pending(self) -> list[int]:
        """Returns the steps that have a finalised checkpoint and no record yet, ascending."""
        return [
            step for step in list_steps(self.run.directory.path) if not self._record(step).exists()
        ]

    def score(self, step: int) -> Record:
        """Scores one checkpoint. The record is written last: where it is, all else is too.

        Raises:
            UserError: the checkpoint cannot be read.
        """
        params = self.run.load(step, self.evaluation.layout.replicated)
        encoding = self.evaluation.encode(params)
        discrete = self.evaluation.abstract_model.latents.num_values is not None
        scores, errors = compute_metrics(
            self.run.config.eval.metrics,
            encoding.sources_NxS,
            encoding.latents_NxZ,
            discrete=discrete,
        )
        structure = compute_structure(encoding, discrete)
        record = self._make_record(step, encoding, scores, errors, structure)
        pictures = self.evaluation.illustrate(params, encoding)
        self._publish(record, structure, pictures, encoding)
        write_record(self.run.directory.path, record)
        return record

    def close(self) -> None:
        """Flushes TensorBoard, if anything was written."""
        if self._log is not None:
            self._log.close()

    def _record(self, step: int) -> epath.Path:
        return record_path(
            self.run.directory.path, self.evaluation.data.split.protocol, step, METRIC_VERSION
        )

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
            scores={**flat, "psnr": float(encoding.psnr_N.mean())},
            errors=errors,
            source_names=list(self.evaluation.data.dataset.spec.source_names),
            nmi_SxZ=structure.nmi_SxZ.tolist(),
            active_latents=structure.active_latents.tolist(),
            versions=get_versions(),
            config_id=get_config_id(config),
        )

    def _publish(
        self, record: Record, structure: Structure, pictures: Pictures, encoding: Encoding
    ) -> None:
        step = record.step
        if self._log is None:
            self._log = EventLog(self.run.directory.path / "logs" / "eval")
            for name, text in describe_origin(self.run, record).items():
                self._log.add_text(name, text, step)
        directory = self._record(step).parent / f"step_{step:09d}"
        directory.mkdir(parents=True, exist_ok=True)
        for name, value in record.scores.items():
            self._log.add_scalar(f"eval/{record.protocol}/{name}", value, step)
        for latent, codes_N in enumerate(encoding.latents_NxZ.T):
            self._log.add_histogram(f"codes/z{latent}", codes_N, step)
        for name, figure in make_figures(record, structure, pictures).items():
            (directory / f"{name}.png").write_bytes(plots.to_png(figure))
            image = plots.to_array(figure)
            self._log.add_image(f"eval/{record.protocol}/{name}", image, step)
        self._log.flush()
        logging.info("step %d: pictures in %s", step, directory)


def describe_origin(run: StoredRun, record: Record) -> dict[str, str]:
    """Returns, as Markdown by name, what decides a run's numbers: its config and versions."""
    versions = [f"- {name} {version}" for name, version in record.versions.items()]
    devices = sorted({device.device_kind for device in jax.devices()})
    config = json.dumps(to_plain(run.config), indent=2)
    return {
        "origin/config": f"```json\n{config}\n```",
        "origin/evaluated_with": "\n".join([*versions, f"- devices: {', '.join(devices)}"]),
    }


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
