"""Running a command: captured or streamed, in its own session, given up as soon as it is told to.

A terminal's Ctrl-C reaches the launcher alone: each child has its own session, so that deleting a
machine is not itself interrupted.
"""

import contextlib
import dataclasses
import os
import queue
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

Command = tuple[str, ...]

_TICK_SECONDS = 0.1


class Stopped(Exception):
    """The launcher was asked to stop while it waited."""


class Stop(threading.Event):
    """A request to stop; `leave` says whether the machines are to be left as they are."""

    leave = False


@dataclasses.dataclass(frozen=True)
class Result:
    """What a finished command left; 124 stands for one that was killed for its time."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Whether it exited with 0."""
        return self.returncode == 0

    @property
    def last_line(self) -> str:
        """The line that names the fault: gcloud's ERROR, or else the last, of stderr first."""
        lines = (self.stderr.strip() or self.stdout.strip() or "no output").splitlines()
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            if line.startswith("ERROR: "):
                return f"{line} {following}".strip() if line.endswith(":") else line.strip()
        return lines[-1].strip()


def quote(command: Command) -> str:
    """The command as it would be typed."""
    return shlex.join(command)


class Shell:
    """Runs commands until `stop` is set; then everything but `run(..., stoppable=False)` raises."""

    def __init__(self, stop: Stop, timeout_seconds: float = 1800.0):
        self.stop = stop
        self.timeout_seconds = timeout_seconds

    def wait(self, seconds: float) -> None:
        """Sleeps. Raises `Stopped` at once when asked to stop."""
        if self.stop.wait(seconds):
            raise Stopped

    def run(
        self, command: Command, *, stoppable: bool = True, seconds: float | None = None
    ) -> Result:
        """Runs to the end and returns what it said. Raises `Stopped`, never for a bad exit.

        Args:
            command: program and arguments.
            stoppable: whether a request to stop ends it.
            seconds: that it may take, if not as long as any command.
        """
        if stoppable and self.stop.is_set():
            raise Stopped
        seconds = self.timeout_seconds if seconds is None else seconds
        deadline = time.monotonic() + seconds
        process = _start(command, stderr=subprocess.PIPE)
        try:
            while True:
                try:
                    stdout, stderr = process.communicate(timeout=_TICK_SECONDS)
                    return Result(process.returncode, stdout, stderr)
                except subprocess.TimeoutExpired:
                    if stoppable and self.stop.is_set():
                        raise Stopped from None
                    if time.monotonic() > deadline:
                        return Result(124, "", f"no answer in {seconds:g} s")
        finally:
            _end(process)

    @contextlib.contextmanager
    def stream(self, command: Command) -> Iterator["Stream"]:
        """Runs in the background, its lines read as they come; stderr is not among them."""
        if self.stop.is_set():
            raise Stopped
        process = _start(command, stderr=subprocess.DEVNULL)
        try:
            yield Stream(process, self.stop)
        finally:
            _end(process)


class Stream:
    """The lines of a running command."""

    def __init__(self, process: subprocess.Popen, stop: Stop):
        self._process = process
        self._stop = stop
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):  # Else it was broken off, and will come again whole.
                self._lines.put(line[:-1])
        self._lines.put(None)

    def lines(self, seconds: float) -> Iterator[str]:
        """Yields the lines that come within `seconds`, less when the command ends before.

        Raises `Stopped` when asked to stop.
        """
        deadline = time.monotonic() + seconds
        while not self._ended and (left := deadline - time.monotonic()) > 0:
            if self._stop.is_set():
                raise Stopped
            with contextlib.suppress(queue.Empty):
                line = self._lines.get(timeout=min(_TICK_SECONDS, left))
                if line is None:
                    self._ended = True
                else:
                    yield line

    @property
    def returncode(self) -> int | None:
        """The exit status once every line was read, else None."""
        return self._process.wait() if self._ended else None


def _start(command: Command, stderr: int) -> subprocess.Popen:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def _end(process: subprocess.Popen) -> None:
    """Ends the command and what it started, if it still runs."""
    if process.poll() is not None:
        return
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
            return
