"""Being asked to stop: a signal on one machine, the platform's notice on many."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import jax
from jax.experimental import multihost_utils


class Preemption:
    """Whether the run has been asked to stop; all processes learn it at the same step."""

    def __init__(self) -> None:
        self._signal = threading.Event()

    def requested(self, step: int) -> bool:
        """Returns True once a checkpoint should be saved and the run ended."""
        if jax.process_count() > 1:
            # One process alone must not stop: the runtime agrees on a step among all of them.
            return multihost_utils.reached_preemption_sync_point(step)
        return self._signal.is_set()

    @contextmanager
    def watch(self) -> Iterator["Preemption"]:
        """Turns SIGTERM and SIGINT into a request; a second one acts as usual."""
        if jax.process_count() > 1 or threading.current_thread() is not threading.main_thread():
            yield self
            return
        old = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def request(number, frame) -> None:
            del frame
            self._signal.set()
            # A command may turn SIGTERM into an exception, which would wait for the save again.
            again = signal.SIG_DFL if number == signal.SIGTERM else old[number]
            signal.signal(number, again)
            # Not by print: the signal may have come in the middle of one.
            os.write(2, b"\nsaving and stopping after this step; once more stops at once\n")

        try:
            for number in old:
                signal.signal(number, request)
            yield self
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
