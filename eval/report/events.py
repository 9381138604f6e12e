"""The curves of training, read back from TensorBoard's files."""

import struct
from collections import defaultdict
from collections.abc import Iterator

from etils import epath
from tensorboardX.proto import event_pb2

Curves = dict[str, list[tuple[int, float]]]


def load_curves(workdir: epath.PathLike) -> Curves:
    """Returns what every start of a run logged in training: (step, value) by tag, by step.

    What a later start logged of a step replaces what an earlier one did.
    """
    folder = epath.Path(workdir) / "logs" / "train"
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    for path in sorted(folder.glob("events*")) if folder.is_dir() else []:
        for record in _split(path.read_bytes()):
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    curves[value.tag][event.step] = value.simple_value
    return {tag: sorted(points.items()) for tag, points in curves.items()}


def _split(data: bytes) -> Iterator[bytes]:
    """Yields the whole records: each is a length, its checksum, the record and its checksum."""
    start = 0
    while start + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        if start + 16 + length > len(data):
            return  # a killed trainer's last words
        yield data[start + 12 : start + 12 + length]
        start += 16 + length
