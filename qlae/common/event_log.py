"""TensorBoard's event files, in a directory that may be remote."""

import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from etils import epath

from qlae.common.files import is_remote

SECONDS_BETWEEN_REMOTE_WRITES = 30.0


class EventLog:
    """Writes TensorBoard events. An object of a store cannot grow: there a file is written anew.

    That is done at most every `SECONDS_BETWEEN_REMOTE_WRITES`, and at the end.

    Args:
        directory: where the events go.
        first_step: what earlier starts wrote from this step on is forgotten by TensorBoard.
    """

    def __init__(self, directory: epath.Path, first_step: int | None = None):
        from tensorboardX import SummaryWriter  # half a second that a restored run need not wait

        self._remote = directory if is_remote(directory) else None
        self._scratch = tempfile.TemporaryDirectory() if self._remote else None
        self._local = Path(self._scratch.name if self._scratch else str(directory))
        # The name says the second; two processes may begin in the same one.
        self._writer: Any = SummaryWriter(
            str(self._local), purge_step=first_step, filename_suffix=f".{uuid.uuid4().hex[:8]}"
        )
        threading.excepthook = _spare_writers
        self._uploaded = time.monotonic()
        self._sizes: dict[str, int] = {}  # of what is in the store

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Adds one number."""
        self._writer.add_scalar(name, value, step)

    def add_image(self, name: str, image_HxWxC: Any, step: int) -> None:
        """Adds one picture, uint8."""
        self._writer.add_image(name, image_HxWxC, step, dataformats="HWC")

    def add_histogram(self, name: str, values: Any, step: int) -> None:
        """Adds the distribution of numbers; integers are counted one by one."""
        bins = np.arange(values.min(), values.max() + 2) - 0.5 if values.dtype.kind == "i" else 50
        self._writer.add_histogram(name, values, step, bins=bins)

    def add_text(self, name: str, text: str, step: int) -> None:
        """Adds a text, which is shown as Markdown."""
        self._writer.add_text(name, text, step)

    def add_hyperparameters(self, values: Mapping[str, Any]) -> None:
        """Adds a row of the table of runs, in which TensorBoard sets all scalars beside them."""
        from tensorboardX.summary import hparams

        shown = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in values.items()
        }
        # Without a list of columns of its own TensorBoard takes those of all runs.
        _, session, _ = hparams(shown, {})
        self._writer.file_writer.add_summary(session)

    def flush(self) -> None:
        """Makes what was added visible, in a store only now and then."""
        self._writer.flush()
        if time.monotonic() - self._uploaded > SECONDS_BETWEEN_REMOTE_WRITES:
            self._upload()

    def close(self) -> None:
        """Makes all that was added visible."""
        event_writer = self._writer.file_writer.event_writer
        try:
            self._writer.close()
        finally:
            # When the process ends, tensorboardX closes it again, with a traceback if it fails.
            event_writer.close = lambda: None
        self._upload()
        if self._scratch:
            self._scratch.cleanup()

    def _upload(self) -> None:
        self._uploaded = time.monotonic()
        if self._remote:
            self._remote.mkdir(parents=True, exist_ok=True)
            for path in self._local.iterdir():
                content = path.read_bytes()
                if len(content) != self._sizes.get(path.name):
                    (self._remote / path.name).write_bytes(content)
                self._sizes[path.name] = len(content)


def _spare_writers(failure: threading.ExceptHookArgs) -> None:
    """Is silent on tensorboardX's threads alone: what they meet, `flush` and `close` raise, too."""
    if not type(failure.thread).__module__.startswith("tensorboardX"):
        threading.__excepthook__(failure)
