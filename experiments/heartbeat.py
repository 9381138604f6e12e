"""Whether a run's other processes are still there: what ends one of them ends all, in one line.

JAX alone waits a minute and more for a process that died or hangs, and then aborts with a stack
trace. Here every process says every few seconds, in the store that JAX's coordinator keeps, that it
lives, or why it ends. The coordinator's own death is JAX's: it aborts the others at once.
"""

import contextlib
import json
import os
import re
import threading
import time
import traceback
from typing import Any, NoReturn, Protocol

from experiments.roll_call import name_processes
from qlae.common.command_line import Exit, complain, run_command
from qlae.common.errors import RunFailed, StorageError, UserError, explain

SECONDS_BETWEEN_BEATS = 3.0
SILENCE = 30.0  # seconds, after which a process is given up
_PLACE = "qlae/heartbeat"
# What a collective says whose other end has gone.
_LOST = re.compile(r"gloo|connection (closed|reset)|coordination|barrier", re.IGNORECASE)


class Store(Protocol):
    """What all processes read and write."""

    def key_value_set(self, key: str, value: str, allow_overwrite: bool = False) -> None:
        """Sets the text of a key."""

    def key_value_dir_get(self, key: str) -> list[tuple[str, str]]:
        """Returns all keys below one, and their texts."""


class Heartbeat:
    """What this process tells the others, and hears of them.

    Args:
        store: what all of them read and write.
        num_processes: of the run.
        process_id: which of them this is.
    """

    def __init__(self, store: Store, num_processes: int, process_id: int):
        self._store, self._me, self._beats = store, process_id, 0
        now = time.monotonic()
        self._heard: dict[int, tuple[Any, float]] = dict.fromkeys(range(num_processes), ({}, now))
        self._ending = threading.Lock()

    def beat(self, code: int | None = None, line: str = "") -> None:
        """Says that this process lives, or why it ends; hears what the others say."""
        self._beats += 1
        said = json.dumps({"beats": self._beats, "code": code, "line": line})
        self._store.key_value_set(f"{_PLACE}/{self._me}", said, allow_overwrite=True)
        for key, text in self._store.key_value_dir_get(_PLACE):
            process, says = int(key.rpartition("/")[2]), json.loads(text)
            if says != self._heard[process][0]:
                self._heard[process] = says, time.monotonic()

    def find_lost(self) -> tuple[int, str] | None:
        """Returns the exit code and the line with which the loss of another process ends this."""
        others = {process: said for process, said in self._heard.items() if process != self._me}
        for process, (says, _) in others.items():
            if says.get("code"):
                return says["code"], f"process {process}: {says['line']}"
        now = time.monotonic()
        silent = [process for process, (_, when) in others.items() if now - when > SILENCE]
        if not silent:
            return None
        # Without the first, which keeps the store, nobody hears of anybody.
        names = name_processes([0] if 0 in silent else silent)
        return Exit.TRY_AGAIN, (
            f"{names} of {len(self._heard)} died or hangs: not heard for {SILENCE:g} s; look at "
            "its log, then run the same command in all to resume"
        )

    def start(self) -> None:
        """Beats, and watches the others, until the process ends."""
        for work in (self._talk, self._watch):
            threading.Thread(target=work, name="heartbeat", daemon=True).start()

    def end(self, error: Exception) -> NoReturn:
        """Tells the others of an error, and ends this process with its line, or theirs."""
        self._ending.acquire()  # for good
        meaning = explain(error)
        if not isinstance(meaning, UserError | StorageError | RunFailed) and _LOST.search(
            str(error)
        ):
            reason = " ".join(str(error).split())[:200]
            meaning = StorageError(
                f"another process of this run has gone ({reason}); look at the others' logs, then "
                "run the same command in all to resume"
            )
            with contextlib.suppress(Exception):
                self.beat()
            if lost := self.find_lost():
                os._exit(complain(RunFailed(lost[1]), Exit(lost[0])))
        code = _tell(meaning)
        with contextlib.suppress(Exception):
            self.beat(code, " ".join(str(meaning).split()))
            if self._me == 0:  # as long as it lives, the others can read this
                time.sleep(2 * SECONDS_BETWEEN_BEATS)
        os._exit(code)

    def _talk(self) -> None:
        while True:
            # Whatever it is, the others do not hear of this one, or it does not hear of them.
            with contextlib.suppress(Exception):
                self.beat()
            time.sleep(SECONDS_BETWEEN_BEATS)

    def _watch(self) -> None:
        """Ends this process where its own main thread may wait for ever."""
        while not (lost := self.find_lost()):
            time.sleep(1.0)
        with self._ending:
            code, line = lost
            os._exit(complain(RunFailed(line), Exit(code)))


def _tell(error: Exception) -> int:
    """Prints an error as every command does; returns its exit code."""

    def fail(arguments: Any) -> NoReturn:
        raise error

    try:
        return run_command(fail, ())
    except Exception:
        traceback.print_exc()
        return Exit.FAILED


def start_heartbeat() -> Heartbeat | None:
    """Begins to watch the other processes, after JAX has met them; None where there are none."""
    from jax._src import distributed  # the store has no public name

    state = distributed.global_state
    if state.client is None or state.num_processes == 1:
        return None
    heartbeat = Heartbeat(state.client, state.num_processes, state.process_id)
    heartbeat.start()
    return heartbeat
