"""The TFDS builder that all datasets share: check the source whole, write shards, then publish."""

from __future__ import annotations

import abc
import os
import shutil
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines.builders import shards
from data_pipelines.downloads import Download, fetch
from data_pipelines.formats import checks
from data_pipelines.formats.checks import ImageFile
from data_pipelines.specs import DatasetSpec, get_spec
from qlae.common.errors import UserError

_IMAGES_PER_SHARD = 1 << 17


class GridBuilder(tfds.core.GeneratorBasedBuilder):
    """Prepares one dataset in grid order as array_record; TensorFlow is not needed.

    Features: ``image`` uint8, and for each source ``label_<name>`` (class) and ``value_<name>``
    (real value). Neither prepared folder nor shard is ever seen half made: shards are written in
    a staging folder from which an interrupted preparation goes on.

    Not registered with TFDS, whose own ``shapes3d`` and ``dsprites`` keep their names.
    """

    # Above the versions of TFDS' own builders, so that a folder may hold both.
    VERSION = tfds.core.Version("3.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"3.0.0": "Grid order, raw images, array_record."}
    DOWNLOADS: tuple[Download, ...] = ()
    EXPECTED = "the published file"
    HOMEPAGE = ""
    CITATION = ""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(skip_registration=True, **kwargs)

    def __init__(
        self,
        *,
        data_dir: str | os.PathLike,
        source: str | os.PathLike | None = None,
        images_per_shard: int = _IMAGES_PER_SHARD,
        verify_checksum: bool = True,
        **kwargs,
    ):
        self._source = None if source is None else Path(source)
        self._images_per_shard = images_per_shard
        self._verify_checksum, self._downloaded = verify_checksum, False
        super().__init__(data_dir=data_dir, file_format="array_record", **kwargs)

    @property
    def spec(self) -> DatasetSpec:
        """The dataset's sources and image shape."""
        return get_spec(self.name)

    @abc.abstractmethod
    def _open(self, source: Path, scratch: Path) -> ImageFile:
        """Open the source and check it whole; ``scratch`` may hold what must be unpacked."""

    def _info(self) -> tfds.core.DatasetInfo:
        features: dict = {
            "image": tfds.features.Tensor(
                shape=self.spec.image_shape, dtype=np.uint8, encoding="bytes"
            )
        }
        for source in self.spec.sources:
            features[f"label_{source.name}"] = tfds.features.ClassLabel(
                num_classes=source.cardinality
            )
            features[f"value_{source.name}"] = tfds.features.Scalar(np.float32)
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.spec.description,
            features=tfds.features.FeaturesDict(features),
            homepage=self.HOMEPAGE,
            citation=self.CITATION,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        raise NotImplementedError("shards are written directly")

    def _generate_examples(self):
        raise NotImplementedError("shards are written directly")

    def _download_and_prepare(self, dl_manager, download_config) -> None:
        """Write every shard in the staging folder, then move them where TFDS publishes from."""
        source = self._find_source(download_config.manual_dir)
        home = Path(self.data_dir_root) / self.name
        staging = home / f".{self.version}.partial"
        fingerprint = self._fingerprint(source)
        with shards.staging_folder(staging, fingerprint):
            self._remove_leftovers(home)
            with checks.damage_is_a_user_error(source):
                images = self._open(source, staging)
            try:
                have = sum(path.stat().st_size for path in staging.iterdir())
                shards.require_space(staging, self.spec, have)
                made = shards.write_shards(self.spec, images, staging, self._images_per_shard)
            finally:
                images.close()
            self._publish(made)

    def _make_download_manager(self, **kwargs) -> types.SimpleNamespace:
        """Stand in for TFDS' manager, which would make folders; ``fetch`` does the downloads."""
        del kwargs
        return types.SimpleNamespace(downloaded_size=0)

    def _log_download_bytes(self) -> None:
        """Say nothing: the progress line does."""

    _log_download_done = _log_download_bytes

    def _remove_leftovers(self, home: Path) -> None:
        """Clear what a killed preparation left unpublished; the lock says that it is dead."""
        for leftover in home.glob(f"incomplete.*_{self.version}"):
            if leftover != Path(self.data_dir):
                shutil.rmtree(leftover, ignore_errors=True)

    def _publish(self, made: list[Path]) -> None:
        template = self._get_filename_template(split_name="train")
        size = 0
        for i, path in enumerate(made):
            size += path.stat().st_size
            target = template.sharded_filepath(shard_index=i, num_shards=len(made))
            path.rename(Path(os.fspath(target)))
        per_shard, total = self._images_per_shard, self.spec.num_images
        lengths = [min(per_shard, total - start) for start in range(0, total, per_shard)]
        split = tfds.core.SplitInfo(
            name="train", shard_lengths=lengths, num_bytes=size, filename_template=template
        )
        self.info.set_splits(tfds.core.splits.SplitDict([split]))

    def _find_source(self, manual_dir) -> Path:
        """Return the file or directory to read: given, or downloaded."""
        if self._source is not None or manual_dir is not None:
            source = Path(self._source or manual_dir).expanduser()
            if not source.exists():
                raise UserError(f"there is no file or directory {source}")
            return source
        if not self.DOWNLOADS:
            raise UserError(
                f"no direct link to {self.name} is known: download {self.EXPECTED} in a browser "
                f"({self.HOMEPAGE}) and name it with --source"
            )
        self._downloaded = True
        folder = Path(self.data_dir_root) / "downloads" / self.name
        files = [fetch(download, folder) for download in self.DOWNLOADS]
        return files[0] if len(files) == 1 else folder

    def _verify(self, path: Path, *kinds: str) -> Path:
        """Require one of ``kinds`` and, where they are known, the published size and checksum."""
        checks.require_kind(path, *kinds)
        known = [d for d in self.DOWNLOADS if path.suffix == Path(d.filename).suffix]
        if len(known) > 1:
            known = [d for d in known if d.filename == path.name]
        if known and self._verify_checksum:
            # A downloaded file's checksum was compared before it got its name.
            checks.check_file(path, known[0].size, None if self._downloaded else known[0].digest)
        return path

    def _fingerprint(self, source: Path) -> dict:
        """Return what identifies a source, to know whether shards were made from it."""
        files = [source] if source.is_file() else sorted(source.iterdir())[:100]
        return {
            "version": str(self.version),
            "images_per_shard": self._images_per_shard,
            "cardinalities": self.spec.cardinalities,
            "image_shape": self.spec.image_shape,
            "files": [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files],
        }
