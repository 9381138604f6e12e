"""One trainer a run directory: it writes down who it is, and renews that for as long as it lives.

A second trainer ends with one line and exit code 75, not 2: the same command succeeds as soon as
the first has ended, and a launcher that starts a preempted trainer again, while the old one still
saves, must try once more.

A killed trainer holds nothing for long. Where it ran, its process is seen to be gone, at once;
elsewhere its lease is watched, and one that stays as it is for `STALE` seconds is nobody's. No
machine's clock is believed. A trainer that lost its lease, because it was halted or its store out
of reach, learns so at its next renewal and ends.
"""

import contextlib
import fcntl
import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from etils import epath

from experiments.process_stat import START, STATE, read_stat
from qlae.common.errors import StorageError
from qlae.common.files import is_remote, write_whole, writing
from qlae.run_directory import get_lease_path

RENEWAL = 5.0  # seconds; a store is written to no more often than that
# A store may keep one renewal waiting for 20 s; a machine takes longer than this to be replaced.
STALE = 30.0
_LOOK = 1.0
_SETTLING = 1.0  # after which the last of several writes to a store is what all read

Judged = dict[epath.Path, str]


class DirectoryBusy(StorageError):
    """Another process trains in a directory; the same command succeeds when it has ended."""


def await_free(paths: Sequence[epath.Path], aloud: bool = True) -> Judged:
    """Returns once no living process trains in any of these directories: what their leases say.

    Args:
        paths: run directories, whether they exist or not.
        aloud: say on stderr whom it waits for.

    Raises:
        DirectoryBusy: one does.
    """
    judged = {path: _read(path) for path in paths}
    open_questions = {path for path, text in judged.items() if not _is_free(path, text)}
    deadline = time.monotonic() + STALE
    if open_questions and aloud:
        path = min(open_questions)
        print(
            f"{_describe(judged[path])} trained in {path}; is it still there? looking for "
            f"{STALE:g} s",
            file=sys.stderr,
            flush=True,
        )
    while open_questions and time.monotonic() < deadline:
        time.sleep(_LOOK)
        for path in sorted(open_questions):
            text = _read(path)
            if not text:
                judged[path] = text
                open_questions.remove(path)
            elif text != judged[path]:
                raise _make_busy(path, text)
    return judged


class Lease:
    """What this process holds on run directories, renewed by a thread until it is closed.

    Args:
        judged: what `await_free` returned.

    Raises:
        DirectoryBusy: another process was quicker.
        UserError: a directory cannot be written.
        StorageError: the store did not answer as it should.
    """

    def __init__(self, judged: Judged):
        self._paths, self._token, self._renewals = list(judged), uuid.uuid4().hex, 0
        self._lost = ""
        self._closing = threading.Event()
        self._taken: list[epath.Path] = []
        try:
            for path, text in judged.items():
                self._take(path, text)
            self._settle()
        except BaseException:
            self._remove()
            raise
        self._thread = threading.Thread(target=self._work, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises `DirectoryBusy` if another process has taken a directory over."""
        if self._lost:
            raise DirectoryBusy(self._lost)

    def close(self) -> None:
        """Gives the directories back."""
        self._closing.set()
        self._thread.join(STALE)
        self._remove()

    def _take(self, path: epath.Path, judged: str) -> None:
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            if (text := _read(path)) not in ("", judged):
                raise _make_busy(path, text)
            with writing(path):
                self._write(path)
        self._taken.append(path)

    def _settle(self) -> None:
        """Makes sure, on a store, that nobody wrote at the same moment."""
        if any(map(is_remote, self._paths)):
            time.sleep(_SETTLING)
            for path in self._paths:
                if not self._is_mine(text := _read(path)):
                    raise _make_busy(path, text)

    def _work(self) -> None:
        while not self._closing.wait(RENEWAL) and not self._lost:
            self._renewals += 1
            for path in self._paths:
                # A store that does not answer now may do so next time.
                with contextlib.suppress(Exception):
                    self._renew(path)

    def _renew(self, path: epath.Path) -> None:
        text = _read(path)
        if text and not self._is_mine(text):
            self._lost = f"{_describe(text)} has taken over {path}, while this one was out of reach"
        else:
            self._write(path)

    def _write(self, path: epath.Path) -> None:
        holder = _identify(path) | {"token": self._token, "renewals": self._renewals}
        write_whole(get_lease_path(path), json.dumps(holder, indent=2) + "\n")

    def _is_mine(self, text: str) -> bool:
        return _parse(text).get("token") == self._token

    def _remove(self) -> None:
        for path in self._taken:
            with contextlib.suppress(Exception):
                if self._is_mine(_read(path)):
                    get_lease_path(path).unlink()
        self._taken.clear()


def _is_free(path: epath.Path, text: str) -> bool:
    """Whether nobody holds a lease; False also where only watching it can tell.

    Raises:
        DirectoryBusy: a process of this machine does.
    """
    holder = _parse(text)
    if not holder:
        return True
    here = _identify(path)
    # A copy of the directory says another path.
    if any(holder.get(name) != here[name] for name in ("host", "boot", "path")):
        return False
    if _find_start(holder.get("pid")) != holder.get("start"):
        return True
    raise _make_busy(path, text)


def _identify(path: epath.Path) -> dict[str, Any]:
    """Returns what tells this process from all others, those of containers beside it too."""
    return {
        "host": socket.gethostname(),
        "boot": _read_boot(),
        "pid": os.getpid(),
        "start": _find_start(os.getpid()),
        "path": str(path),
    }


def _read_boot() -> str:
    """Returns which start of which machine this is, and which of its namespaces of processes."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return ""


def _find_start(pid: Any) -> str:
    """Returns when a process of this machine began, "" if it has ended: numbers are used again."""
    if not isinstance(pid, int):
        return ""
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            pass
        return "alive"
    try:
        fields = read_stat(pid)
    except OSError:
        return ""
    return "" if fields[STATE] in "ZX" else fields[START]


def _read(path: epath.Path) -> str:
    try:
        return get_lease_path(path).read_text()
    except FileNotFoundError:
        return ""


def _parse(text: str) -> dict[str, Any]:
    try:
        holder = json.loads(text)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


@contextlib.contextmanager
def _alone(path: epath.Path) -> Iterator[None]:
    """Keeps other processes of this machine out; where a disk cannot, renewals settle it."""
    if is_remote(path):
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _describe(text: str) -> str:
    holder = _parse(text)
    return f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"


def _make_busy(path: epath.Path, text: str) -> DirectoryBusy:
    return DirectoryBusy(
        f"another process trains here: {_describe(text)}, in {path}; wait for it, or stop it"
    )
