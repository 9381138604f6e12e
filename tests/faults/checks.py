"""Whether a run that met faults is what an undisturbed one is."""

import collections
import itertools
import struct
from pathlib import Path

from tensorboardX.proto import event_pb2

from experiments.compare import find_difference, load_everything
from qlae.restore import open_run
from qlae.run_directory import list_steps


def count_wrong(run: Path, undisturbed: Path) -> int:
    """Returns how many checkpoints of an undisturbed run another lacks, or has otherwise."""
    mine, other = open_run(run), open_run(undisturbed)
    steps = list_steps(run)
    return sum(
        step not in steps
        or find_difference(load_everything(mine, step), load_everything(other, step)) is not None
        for step in list_steps(undisturbed)
    )


def count_twice(run: Path) -> int:
    """Returns how many points of the training curves TensorBoard shows twice, or out of order."""
    points: dict[str, list[int]] = collections.defaultdict(list)
    for path in sorted((run / "logs/train").glob("events*"), key=lambda p: p.stat().st_mtime_ns):
        for event in read_events(path):
            if event.session_log.status == event_pb2.SessionLog.START:
                # What earlier starts wrote from this step on is forgotten.
                for tag, steps in points.items():
                    points[tag] = [step for step in steps if step < event.step]
            for value in event.summary.value:
                # A start's texts and settings are no points of a curve.
                if value.HasField("simple_value"):
                    points[value.tag].append(event.step)
    return sum(
        later <= earlier
        for steps in points.values()
        for earlier, later in itertools.pairwise(steps)
    )


def find_last_step(run: Path) -> int:
    """Returns the newest step that any start of a run has logged, 0 for none."""
    paths = (run / "logs/train").glob("events*")
    events = (event for path in paths for event in read_events(path))
    return max((event.step for event in events if event.summary.value), default=0)


def read_events(path: Path):
    """Yields the whole events of a file that a killed process may have ended in mid-word."""
    data = path.read_bytes()
    while len(data) >= 12:
        (length,) = struct.unpack("<Q", data[:8])
        if len(data) < length + 16:
            return
        yield event_pb2.Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]
