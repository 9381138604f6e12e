"""The TFDS builder of every dataset: check the source whole, write shards, then publish."""

from __future__ import annotations

import os
import shutil
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines.formats.integrity import damage_is_a_user_error
from data_pipelines.formats.readers import READERS
from data_pipelines.shards import write_shards
from data_pipelines.source_files import find_source
from data_pipelines.specs import get_spec
from data_pipelines.staging import require_space, staging_folder

_IMAGES_PER_SHARD = 1 << 17


class GridBuilder(
    tfds.core.GeneratorBasedBuilder,
    skip_registration=True,  # type: ignore[call-arg]
):
    """Prepares the dataset `name` in grid order as array_record; TensorFlow is not needed.

    Features: `image` uint8, and for each source `label_<name>` (class) and `value_<name>`
    (real value). Neither prepared folder nor shard is ever seen half made: shards are written in
    a staging folder from which an interrupted preparation goes on.

    Not registered with TFDS, whose own `shapes3d` and `dsprites` keep their names.

    Args:
        name: a key of `specs.SPECS`.
        data_dir: a local TFDS data directory.
        source: the published file, or a directory that holds it; downloaded when None.
        images_per_shard: of all shards but the last.
        verify_checksum: whether a named source must have the published size and checksum.

    Raises:
        UserError: no such dataset; the message names the nearest one.
    """

    # Above the versions of TFDS' own builders, so that a folder may hold both.
    VERSION = tfds.core.Version("3.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"3.0.0": "Grid order, raw images, array_record."}

    def __init__(
        self,
        name: str,
        data_dir: str | os.PathLike,
        source: str | os.PathLike | None = None,
        *,
        images_per_shard: int = _IMAGES_PER_SHARD,
        verify_checksum: bool = True,
    ):
        self.spec = get_spec(name)
        self.name = name  # TFDS would name it after the class
        self._source = None if source is None else Path(source)
        self._images_per_shard, self._verify_checksum = images_per_shard, verify_checksum
        super().__init__(data_dir=data_dir, file_format="array_record")

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
            homepage=self.spec.publication.homepage if self.spec.publication else "",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        raise NotImplementedError("shards are written directly")

    def _generate_examples(self):
        raise NotImplementedError("shards are written directly")

    def _download_and_prepare(self, dl_manager, download_config) -> None:
        """Writes every shard in the staging folder, then moves them where TFDS publishes from."""
        root = Path(self.data_dir_root)
        named = self._source or download_config.manual_dir
        with damage_is_a_user_error(named or self.name):
            downloads = root / "downloads" / self.name
            source = find_source(self.spec, named, downloads, self._verify_checksum)
            fingerprint = self._fingerprint(source)
        home = root / self.name
        staging = home / f".{self.version}.partial"
        with staging_folder(staging, fingerprint):
            self._remove_leftovers(home)
            with damage_is_a_user_error(source or self.name):
                images = READERS[self.name](self.spec, source or staging, staging)
            try:
                have = sum(path.stat().st_size for path in staging.iterdir())
                require_space(staging, self.spec, have)
                made = write_shards(self.spec, images, staging, self._images_per_shard)
            finally:
                images.close()
            self._publish(made)

    def _make_download_manager(self, **kwargs) -> types.SimpleNamespace:
        """Stands in for TFDS' manager, which would make folders; `fetch` does the downloads."""
        del kwargs
        return types.SimpleNamespace(downloaded_size=0)

    def _log_download_bytes(self) -> None:
        """Says nothing: the progress line does."""

    _log_download_done = _log_download_bytes

    def _remove_leftovers(self, home: Path) -> None:
        """Clears what a killed preparation left unpublished; the lock says that it is dead."""
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

    def _fingerprint(self, source: Path | None) -> dict:
        """Returns what identifies a source, to know whether shards were made from it."""
        files: list[Path] = []
        if source is not None:
            files = [source] if source.is_file() else sorted(source.iterdir())[:100]
        return {
            "version": str(self.version),
            "images_per_shard": self._images_per_shard,
            "cardinalities": self.spec.cardinalities,
            "image_shape": self.spec.image_shape,
            "files": [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files],
        }
