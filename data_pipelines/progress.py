"""A progress line with the time that is left."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from qlae.common.command_line import format_duration


class Progress:
    """One line that says how far something is and how long it will take.

    On a terminal the line is rewritten; elsewhere a line is written every tenth of the way.
    """

    def __init__(self, label: str, total: int, unit: str, stream: TextIO | None = None):
        self._label, self._total, self._unit = label, total, unit
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._began, self._shown, self._first = time.monotonic(), -1.0, 0

    def start_at(self, done: int) -> None:
        """Says how much was already done, so that the rate counts only what is done now."""
        self._first = done

    def update(self, done: int) -> None:
        """Shows that `done` of the total are done, if enough has changed to be worth it."""
        now = time.monotonic()
        step = 0.2 if self._terminal else self._total / 10 or 100e6
        mark = now if self._terminal else float(done)
        if self._shown >= 0 and mark < self._shown + step and done != self._total:
            return
        self._shown = mark
        line, last = self._line(done, now), done == self._total
        end = "\n" if last or not self._terminal else ""
        print(f"\r\x1b[K{line}" if self._terminal else line, end=end, file=self._stream, flush=True)

    def _line(self, done: int, now: float) -> str:
        rate = (done - self._first) / max(now - self._began, 1e-6)
        if not self._total:
            return f"{self._label}: {done:,} {self._unit}, {rate:,.0f}/s"
        left = format_duration((self._total - done) / rate) if rate > 0 else "unknown"
        share = 100 * done // self._total
        return (
            f"{self._label}: {done:,} of {self._total:,} {self._unit} ({share}%), "
            f"{rate:,.0f}/s, ETA {left}"
        )
