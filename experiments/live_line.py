"""One live line on how a run is doing; plain lines now and then where there is no terminal."""

import sys
import time
from typing import TextIO

from eval.records import load_newest_record
from qlae.run_directory import RunDirectory

_SECONDS_BETWEEN_SCORES = 5.0  # reading records may be remote
_SECONDS_BETWEEN_PLAIN_LINES = 15.0


class LiveLine:
    """Step of total, steps per second, time left, loss, newest InfoMEC."""

    def __init__(self, run: RunDirectory, num_steps: int, step: int, stream: TextIO = sys.stderr):
        self._run, self._num_steps, self._stream = run, num_steps, stream
        self._first_step, self._first_time = step, time.monotonic()
        # Until this process has a rate of its own, the time left comes from the one before it.
        self._rate = run.load_progress().get("steps_per_second")
        self._scores = ""
        self._scores_read = self._plain_written = -1e9
        self._live = stream.isatty()

    def show(self, step: int, metrics: dict[str, float]) -> None:
        """Writes the line for the state after `step`."""
        now = time.monotonic()
        if step > self._first_step:
            self._rate = (step - self._first_step) / max(now - self._first_time, 1e-9)
        self._run.write_progress({"step": step, "steps_per_second": self._rate})
        if now - self._scores_read > _SECONDS_BETWEEN_SCORES:
            self._scores, self._scores_read = self._newest_scores(), now
        line = self._format(step, metrics)
        if self._live:
            self._stream.write(f"\r\x1b[2K{line}")
        elif now - self._plain_written > _SECONDS_BETWEEN_PLAIN_LINES or step == self._num_steps:
            self._plain_written = now
            self._stream.write(line + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Leaves the last line on the screen."""
        if self._live:
            self._stream.write("\n")
            self._stream.flush()

    def _format(self, step: int, metrics: dict[str, float]) -> str:
        parts = [f"step {step:,}/{self._num_steps:,}"]
        if self._rate:
            seconds = (self._num_steps - step) / self._rate
            parts += [f"{self._rate:.1f} steps/s", f"ETA {format_duration(seconds)}"]
        parts += [f"{name} {metrics[name]:.4f}" for name in metrics if name.endswith("loss/total")]
        return " · ".join(parts).replace("loss/total", "loss") + self._scores

    def _newest_scores(self) -> str:
        try:
            newest = load_newest_record(self._run.path)
        except (OSError, ValueError):
            return self._scores  # the evaluator's affair: training goes on
        if newest is None:
            return ""
        labels = {"infom": "InfoM", "infoe": "InfoE", "infoc": "InfoC"}
        scores = [
            f"{label} {newest.scores[name]:.2f}"
            for name, label in labels.items()
            if name in newest.scores
        ]
        return f" · {' '.join(scores)} @ {newest.step:,}" if scores else ""


def format_duration(seconds: float) -> str:
    """Returns h:mm:ss, or m:ss below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
