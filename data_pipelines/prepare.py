"""Prepare a dataset for reading: `python -m data_pipelines.prepare DATASET --data_dir=DIR`."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_pipelines.builder import GridBuilder
from data_pipelines.prepared import open_prepared
from data_pipelines.specs import SPECS, get_spec
from data_pipelines.staging import disk_error
from qlae.common.command_line import Parser, run_command
from qlae.common.errors import UserError


def prepare(
    name: str, data_dir: str | os.PathLike, source: str | os.PathLike | None = None, **kwargs
) -> Path:
    """Prepares dataset `name` under `data_dir` unless it is there; returns its folder.

    Args:
        name: a key of `specs.SPECS`.
        data_dir: a local TFDS data directory.
        source: the published file, or a directory that holds it; downloaded when None and a
            link is known. A rendered dataset has none.
        **kwargs: for `GridBuilder`: `images_per_shard`, `verify_checksum`.

    Raises:
        UserError: whatever is wrong with the request, the source or the disk, in one line.
    """
    spec = get_spec(name)
    root = Path(data_dir).expanduser()
    if "://" in str(data_dir):
        raise UserError(f"{data_dir} is remote: prepare in a local directory and copy it there")
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, root) from error
    if not os.access(root, os.W_OK):
        raise UserError(f"cannot write in {root}: permission denied")
    folder = root / name / str(GridBuilder.VERSION)
    if not folder.exists():
        try:
            GridBuilder(name, root, source, **kwargs).download_and_prepare()
        except OSError as error:
            raise disk_error(error, root) from error
        finally:
            _remove_empty(folder.parent, root / "downloads" / name, root / "downloads")
    # What is there is opened like a reader would, so that "prepared" means readable.
    open_prepared(spec, os.fspath(folder)).images(np.array([0, spec.num_images - 1]))
    return folder


def _remove_empty(*folders: Path) -> None:
    """Removes those of `folders` that hold nothing."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def main(arguments: Sequence[str]) -> None:
    """Parses the command line and prepares one dataset."""
    parser = Parser("data_pipelines.prepare", __doc__)
    parser.add_argument("dataset", help=f"one of {', '.join(sorted(SPECS))}")
    parser.add_argument("--data_dir", help="where prepared datasets are kept")
    parser.add_argument("--source", help="the published file, or a directory that holds it")
    parser.add_argument(
        "--no_checksum",
        action="store_true",
        help="take a source whose size and checksum are not the published ones",
    )
    parser.add_argument("--where", action="store_true", help="say where it is published, no more")
    options = parser.parse_args(arguments)
    spec = get_spec(options.dataset)
    if options.where:
        print(spec.publication.describe() if spec.publication else f"{spec.name} is rendered here")
        return
    if not options.data_dir:
        parser.error("--data_dir is required")
    logging.getLogger("absl").setLevel(logging.ERROR)
    folder = prepare(
        spec.name,
        options.data_dir,
        options.source,
        verify_checksum=not options.no_checksum,
    )
    print(f"{spec.name}: {spec.num_images:,} images ready in {folder}")


if __name__ == "__main__":
    sys.exit(run_command(main))
