"""What the page says of one run, as numbers and arrays."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from etils import epath

from data_pipelines.from_config import make_data
from eval.clear_images import find_clear_images
from eval.pictures import sweep_values
from eval.records import Record, load_records
from eval.report.events import Curves, load_curves
from qlae.common.errors import UserError
from qlae.common.schema import NOT_NEGATIVE, by_name
from qlae.restore import restore
from qlae.restored_model import RestoredModel
from qlae.run_directory import RunDirectory

_NUM_ENCODED = 2048
_NUM_IMAGES = 6


@dataclass(frozen=True)
class Album:
    """What a model makes of held-out images; K of them, each latent swept over V values.

    Attributes:
        originals: (K, H, W, C) float in [0, 1].
        reconstructions: likewise.
        latents_KxZ: the images' own.
        values_KxZxV: what each sweep gives the latent; one of them is the image's own.
        own_KxZ: the column of that one.
        variations: (K, Z, V, H, W, C), one latent changed, float in [0, 1].
        usage_ZxV: shares of 2,048 held-out images, by codebook index; None if continuous.
    """

    originals: np.ndarray
    reconstructions: np.ndarray
    latents_KxZ: np.ndarray
    values_KxZxV: np.ndarray
    own_KxZ: np.ndarray
    variations: np.ndarray
    usage_ZxV: np.ndarray | None


@dataclass(frozen=True)
class Summary:
    """One run.

    Attributes:
        label: model, dataset and seed.
        group: runs that differ in seed alone share it.
        run: restored at the step of its last record.
        records: of its last record's protocol and metric version, by step.
        curves: of training.
        album: None where the dataset is not here.
        missing: why there is no album.
        seconds: of training, by cause; {} where it noted none.
    """

    label: str
    group: str
    run: RestoredModel
    records: list[Record]
    curves: Curves
    album: Album | None
    missing: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def last(self) -> Record:
        """The newest record."""
        return self.records[-1]


def summarise(workdir: epath.PathLike, data_dir: str | None = None) -> Summary | None:
    """Reads a run; None if it has not been evaluated.

    Raises:
        UserError: a run that cannot be read.
    """
    records = load_records(workdir)
    if not records:
        return None
    last = max(records, key=lambda record: (record.step, record.metric_version))
    kind = (last.protocol, last.metric_version)
    records = [r for r in records if (r.protocol, r.metric_version) == kind]
    run = restore(workdir, last.step)
    seconds: Any = RunDirectory(workdir).load_progress().get("seconds")
    album, missing = None, ""
    try:
        album = make_album(run, data_dir)
    except UserError as error:
        missing = str(error)
    return Summary(
        label=f"{last.model} · {last.dataset} · seed {last.seed}",
        group=f"{last.model} · {last.dataset} · {last.config_id}",
        run=run,
        records=sorted(records, key=lambda record: record.step),
        curves=load_curves(workdir),
        album=album,
        missing=missing,
        seconds=seconds if by_name(NOT_NEGATIVE).holds(seconds) else {},
    )


def make_album(run: RestoredModel, data_dir: str | None = None) -> Album:
    """Encodes held-out images, and decodes the variations of some of them.

    Raises:
        UserError: the dataset is not here.
    """
    config = run.config.data
    if data_dir is not None:
        config = config.copy_and_resolve_references()
        config.data_dir = data_dir
    data = make_data(config)
    indices = data.split.test_indices
    # Evenly from the whole grid, whose order is the sources'.
    count = min(_NUM_ENCODED, len(indices))
    indices = indices[np.arange(count) * len(indices) // count]
    latents_NxZ = run.encode(data.dataset.images(indices))
    spec = data.dataset.spec
    chosen = find_clear_images(spec, spec.sources_at(indices), _NUM_IMAGES)
    values = np.stack([_sweep(latents_NxZ, latents_NxZ[i], run.num_values) for i in chosen])
    base = latents_NxZ[chosen]
    num_images, num_latents, num_columns = values.shape
    swept = np.broadcast_to(base[:, None, None], (*values.shape, num_latents)).copy()
    latent = np.arange(num_latents)
    swept[:, latent, :, latent] = values.swapaxes(0, 1)
    flat = swept.reshape(-1, num_latents)
    decoded = np.concatenate([run.decode(flat[i : i + 256]) for i in range(0, len(flat), 256)])
    usage: Any = None
    if run.num_values is not None:
        usage = np.stack([np.bincount(z, minlength=run.num_values) for z in latents_NxZ.T])
        usage = usage / len(latents_NxZ)
    return Album(
        originals=data.dataset.images(indices[chosen]).astype(np.float32) / 255,
        reconstructions=run.decode(base),
        latents_KxZ=base,
        values_KxZxV=values,
        own_KxZ=np.abs(values - base[..., None]).argmin(-1),
        variations=decoded.reshape(num_images, num_latents, num_columns, *run.image_shape),
        usage_ZxV=usage,
    )


def _sweep(latents_NxZ: np.ndarray, own_Z: np.ndarray, num_values: int | None) -> np.ndarray:
    """Returns (Z, V) values, among them the image's own."""
    rows = []
    for column_N, own in zip(latents_NxZ.T, own_Z, strict=True):
        values = sweep_values(column_N, own, num_values).copy()
        values[np.abs(values - own).argmin()] = own
        rows.append(values)
    return np.stack(rows)
