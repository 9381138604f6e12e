"""Images per second to the device: the pipeline from RAM, array_record and renderer, and a peer.

`python -m experiments.benchmarks.data_pipeline [--tensorflow_python=PYTHON]`

The peer is the input pattern of the authors' code (tf.data over PNG records); it runs when
``--tensorflow_python`` names a Python that has tensorflow, in turns with the others, so that what
else the machine does burdens all alike. Also measured: the share of a 3 ms step for which the
device would wait for data.
"""

from __future__ import annotations

import dataclasses
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from data_pipelines import shards
from data_pipelines.datasets import RenderedDataset, make_dataset
from data_pipelines.pipeline import make_train_iterator
from data_pipelines.prepared import MemoryDataset, PreparedDataset
from data_pipelines.record_files import open_records
from data_pipelines.specs import DatasetSpec, Source
from data_pipelines.splits import make_split
from experiments.benchmarks import report
from qlae.common.command_line import Parser, run_command
from qlae.common.errors import UserError

BATCH, STEP_SECONDS = 128, 0.003
NUM_FLOORS = 2  # of ten floor hues: 96,000 images, 1.2 GB


class _RenderedFile:
    """The renderer as a source to prepare."""

    def __init__(self, dataset: RenderedDataset):
        self._dataset = dataset

    def read(self, start: int, stop: int) -> np.ndarray:
        return self._dataset.images(np.arange(start, stop))

    def close(self) -> None:
        pass


def smaller_spec(dataset: RenderedDataset) -> DatasetSpec:
    """Return the grid with fewer floor hues: its images are the first of the whole grid."""
    floor, *others = dataset.spec.sources
    fewer = Source(floor.name, floor.values[:NUM_FLOORS])
    return dataclasses.replace(dataset.spec, sources=(fewer, *others))


def make_arms(scratch: Path) -> dict[str, Callable[[], Iterator]]:
    """Return what to measure: name to a function that opens an endless iterator of batches."""
    rendered = make_dataset("shapes3d_rendered")
    assert isinstance(rendered, RenderedDataset)
    spec = smaller_spec(rendered)
    paths = shards.write_shards(spec, _RenderedFile(rendered), scratch, spec.num_images)
    records = open_records(paths, "array_record", [spec.num_images])
    on_disk = PreparedDataset(spec, records, None)
    in_memory = MemoryDataset(on_disk)
    split = make_split(spec)
    whole = make_split(rendered.spec)

    def stream(dataset, part, **kwargs):
        return lambda: make_train_iterator(dataset, part, batch_size=BATCH, seed=0, **kwargs)

    return {
        "Grain from RAM": stream(in_memory, split),
        "Grain from array_record": stream(on_disk, split),
        "Grain from the renderer": stream(rendered, whole),
        "rendered inside the step": stream(rendered, whole, emit="index"),
    }


@dataclasses.dataclass(frozen=True)
class Turn:
    """One turn of one input: images per second, and processor microseconds per image."""

    images_per_second: float
    processor_us: float


def measure_turn(batches: Iterator, seconds: float, finish: Callable) -> Turn:
    """Draw batches for some seconds, each brought to the device before the next is drawn."""
    count, began, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        jax.block_until_ready(finish(next(batches)))
        count += BATCH
    elapsed, used = time.perf_counter() - began, time.process_time() - used
    return Turn(count / elapsed, 1e6 * used / count)


def measure_starvation(batches: Iterator, seconds: float) -> float:
    """Return the share of its time for which a device with 3 ms steps waits for data.

    The host draws and sends a batch, and runs at most two steps ahead, as a training loop does.
    """
    jax.block_until_ready(jax.device_put(next(batches)))
    began = free_at = time.perf_counter()
    waited = 0.0
    while free_at - began < seconds:
        jax.block_until_ready(jax.device_put(next(batches)))
        now = time.perf_counter()
        waited += max(0.0, now - free_at)
        free_at = max(now, free_at) + STEP_SECONDS
        time.sleep(max(0.0, free_at - now - 2 * STEP_SECONDS))
    return waited / (free_at - began)


def check_peer(python: str) -> None:
    """Raises `UserError` unless a command is a Python that has tensorflow."""
    try:
        found = subprocess.run([python, "-c", "import tensorflow"], capture_output=True, text=True)
        reason = found.stderr.strip().rpartition("\n")[2] if found.returncode else ""
    except OSError as error:
        reason = str(error)
    if reason:
        raise UserError(
            f"--tensorflow_python={python}: expected a Python that has tensorflow, for the peer "
            f"({reason}); leave the flag out to measure without it"
        )


class Peer:
    """tf.data over PNG records of the same images, in another environment."""

    def __init__(self, python: str, scratch: Path):
        dataset = make_dataset("shapes3d_rendered")
        assert isinstance(dataset, RenderedDataset)
        write_pngs(dataset, smaller_spec(dataset).num_images, scratch)
        script = Path(__file__).with_name("tf_data_peer.py")
        self._process = subprocess.Popen(
            [python, str(script), str(scratch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.version = self._answer()["tensorflow"]

    def measure_turn(self, seconds: float) -> Turn:
        """Draw batches of numpy arrays for some seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return Turn(**self._answer())

    def close(self) -> None:
        """End the other process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline() or '{"error": "the peer ended"}')


def write_pngs(dataset: RenderedDataset, count: int, scratch: Path) -> None:
    """Leave the first ``count`` images as PNG for the peer, end to end, and their lengths."""
    lengths = []
    with (scratch / "png.bin").open("wb") as file:
        for start in range(0, count, 1000):
            for image in dataset.images(np.arange(start, min(start + 1000, count))):
                png = io.BytesIO()
                Image.fromarray(image).save(png, "PNG", compress_level=6)
                lengths.append(file.write(png.getvalue()))
    np.save(scratch / "png_lengths.npy", lengths)


def run(scratch: Path, tensorflow_python: str | None, repeats: int, seconds: float) -> list[dict]:
    """Measure every arm in turns; return the table's rows."""
    rendered = make_dataset("shapes3d_rendered")
    assert isinstance(rendered, RenderedDataset)
    render = jax.jit(lambda batch: rendered.render(batch["index"]))
    arms = {name: make() for name, make in make_arms(scratch).items()}
    finish = {name: jax.device_put for name in arms} | {"rendered inside the step": render}
    peer = Peer(tensorflow_python, scratch) if tensorflow_python else None
    turns: dict[str, list[Turn]] = {name: [] for name in arms}
    peer_name = f"tf.data over PNG (tensorflow {peer.version})" if peer else ""
    for name, batches in arms.items():
        measure_turn(batches, seconds, finish[name])
    for _ in range(repeats):
        for name, batches in arms.items():
            turns[name].append(measure_turn(batches, seconds, finish[name]))
        if peer:
            turns.setdefault(peer_name, []).append(peer.measure_turn(seconds))
    if peer:
        peer.close()
    starvation = {name: measure_starvation(batches, 4 * seconds) for name, batches in arms.items()}
    return make_rows(turns, peer_name, starvation)


def make_rows(turns: dict[str, list[Turn]], peer_name: str, starvation: dict) -> list[dict]:
    """Return one row of the table for each input."""
    rates = {name: [turn.images_per_second for turn in own] for name, own in turns.items()}
    costs = {
        name: statistics.median(turn.processor_us for turn in own) for name, own in turns.items()
    }
    base = statistics.median(rates[peer_name]) if peer_name else None
    return [
        {
            "input": name,
            "images/s (median)": round(statistics.median(own)),
            "lowest": round(min(own)),
            "highest": round(max(own)),
            "times tf.data": round(statistics.median(own) / base, 2) if base else "not run",
            "processor us an image": round(costs[name], 1),
            "tf.data's processor time to ours": (
                round(costs[peer_name] / costs[name], 2) if base else "not run"
            ),
            "starvation at 3 ms a step": f"{starvation[name]:.2%}" if name in starvation else "",
        }
        for name, own in rates.items()
    ]


def main(given: Sequence[str]) -> None:
    """Parse the command line, measure, and write the report."""
    parser = Parser("experiments.benchmarks.data_pipeline", __doc__)
    parser.add_argument("--tensorflow_python", help="a Python that has tensorflow, for the peer")
    parser.add_argument("--repeats", type=int, default=7, help="turns of each arm")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each turn")
    parser.add_argument("--output", type=Path, default=report.RESULTS, help="where the report goes")
    arguments = parser.parse_args(given)
    if arguments.tensorflow_python:
        check_peer(arguments.tensorflow_python)
    with tempfile.TemporaryDirectory() as scratch:
        rows = run(Path(scratch), arguments.tensorflow_python, arguments.repeats, arguments.seconds)
    notes = (
        f"64x64x3 images in batches of {BATCH} brought to {jax.devices()[0].platform}, "
        f"{arguments.repeats} turns of {arguments.seconds:g} s each, in turn. RAM, array_record "
        "and tf.data hold 96,000 rendered images, the renderer all 480,000. `rendered inside the "
        "step` draws indices and renders them under jit. The peer shuffles 100,000 records, "
        "decodes PNG, converts to float and gives numpy arrays. Starvation: the share of time for "
        "which a device with 3 ms steps would wait. Other work on the machine burdens wall time, "
        "and processor time far less.\n\n"
        "Again: `python -m experiments.benchmarks.data_pipeline --tensorflow_python=PYTHON`, "
        "where PYTHON has tensorflow-cpu."
    )
    report.write_report(
        "data_pipeline", "Images per second to the device", rows, notes, arguments.output
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
