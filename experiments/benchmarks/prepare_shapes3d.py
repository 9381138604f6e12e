"""Time and peak memory of preparing a full-size file in the format of 3dshapes.h5.

`python -m experiments.benchmarks.prepare_shapes3d --scratch=DIR` renders the 480,000 images into
an HDF5 file like the published one (once: 15 GB of room for it and what is prepared from it),
prepares it by the command that a user would give, and compares what is then read with what was
rendered.
"""

from __future__ import annotations

import dataclasses
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from data_pipelines.datasets import Dataset, make_dataset
from experiments.benchmarks import report
from qlae.common.command_line import Parser, run_command

_RUN = 8000  # images written at a time


def write_h5(path: Path) -> None:
    """Write the file, with chunks as the library guesses them: many images, few pixels of each."""
    dataset = make_dataset("shapes3d_rendered")
    spec = dataset.spec
    part = path.with_suffix(".part")
    with h5py.File(part, "w", rdcc_nbytes=1 << 28) as file:
        images = file.create_dataset(
            "images", (spec.num_images, *spec.image_shape), "u1", chunks=True, compression="gzip"
        )
        run = images.chunks[0] * -(-_RUN // images.chunks[0])
        for start in range(0, spec.num_images, run):
            stop = min(start + run, spec.num_images)
            images[start:stop] = dataset.images(np.arange(start, stop))
        labels = spec.values_at(spec.sources_at(np.arange(spec.num_images)))
        file.create_dataset("labels", data=labels)
    part.rename(path)


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a command took: wall and processor seconds, and peak GiB of any child so far."""

    seconds: float
    processor_seconds: float
    peak: float


def prepare(path: Path, data_dir: Path) -> Cost:
    """Return the cost of the command that prepares ``path``."""
    command = [sys.executable, "-m", "data_pipelines.prepare", "shapes3d"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [*command, f"--data_dir={data_dir}", f"--source={path}", "--no_checksum"], check=True
    )
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(seconds, used, after.ru_maxrss / 2**20)


def count_differences(prepared: Dataset, rendered: Dataset) -> int:
    """Return how many images differ between what was prepared and what was rendered."""
    different = 0
    for start in range(0, rendered.spec.num_images, _RUN):
        indices = np.arange(start, min(start + _RUN, rendered.spec.num_images))
        unequal = prepared.images(indices) != rendered.images(indices)
        different += int(unequal.any(axis=(1, 2, 3)).sum())
    return different


def main(given: Sequence[str]) -> None:
    """Parse the command line, prepare, compare, and write the report."""
    parser = Parser("experiments.benchmarks.prepare_shapes3d", __doc__)
    parser.add_argument("--scratch", type=Path, required=True, help="a folder with 15 GB of room")
    parser.add_argument("--output", type=Path, default=report.RESULTS, help="where the report goes")
    arguments = parser.parse_args(given)
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    path = arguments.scratch / "3dshapes.h5"
    if not path.exists():
        write_h5(path)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as data_dir:
        first, again = prepare(path, Path(data_dir)), prepare(path, Path(data_dir))
        differences = count_differences(
            make_dataset("shapes3d", data_dir=data_dir), make_dataset("shapes3d_rendered")
        )
    with h5py.File(path) as file:
        chunks = file["images"].chunks
    row = {
        "images": 480_000,
        "file (MB)": round(path.stat().st_size / 1e6),
        "seconds": round(first.seconds, 1),
        "processor seconds": round(first.processor_seconds, 1),
        "peak memory (GiB)": round(first.peak, 2),
        "seconds when already prepared": round(again.seconds, 1),
        "images that differ": differences,
    }
    notes = (
        f"A rendered file in the format of 3dshapes.h5 (gzip, chunks of {chunks}), prepared by "
        "`python -m data_pipelines.prepare shapes3d`; every image was read back and compared.\n\n"
        "Again: `python -m experiments.benchmarks.prepare_shapes3d --scratch=DIR`."
    )
    report.write_report(
        "prepare_shapes3d", "Preparing a full-size Shapes3D file", [row], notes, arguments.output
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
