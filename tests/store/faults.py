"""What a store does to its clients on bad days, drawn from a seed."""

import collections
import dataclasses
import random
import re
import threading


@dataclasses.dataclass(frozen=True)
class Faults:
    """Shares are of operations, in [0, 1]; together they are at most 1.

    Attributes:
        latency: seconds that every operation takes.
        failing: answered with 503; nothing was done.
        lost: answered with 503 although it was done.
        hanging: done and answered after `hang_seconds` more.
        matching: regular expression; only operations whose "KIND PATH" it is found in meet the
            shares above (latency meets all).
        seed: what befalls the nth operation of one kind on one path is a function of the seed
            alone, in whatever order clients come.
    """

    latency: float = 0.0
    failing: float = 0.0
    lost: float = 0.0
    hanging: float = 0.0
    hang_seconds: float = 20.0
    matching: str = ""
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Fate:
    """What befalls one operation."""

    seconds: float
    fails: bool = False
    is_lost: bool = False


class Dice:
    """Draws the fate of operations as they come."""

    def __init__(self, faults: Faults):
        self._faults = faults
        self._counts: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()

    def roll(self, kind: str, path: str) -> Fate:
        """Returns the fate of the next operation of a kind on a path."""
        faults, operation = self._faults, f"{kind} {path}"
        with self._lock:
            self._counts[operation] += 1
            count = self._counts[operation]
        if not re.search(faults.matching, operation):
            return Fate(faults.latency)
        draw = random.Random(f"{faults.seed} {operation} {count}").random()
        if draw < faults.failing:
            return Fate(faults.latency, fails=True)
        if draw < faults.failing + faults.lost:
            return Fate(faults.latency, is_lost=True)
        if draw < faults.failing + faults.lost + faults.hanging:
            return Fate(faults.latency + faults.hang_seconds)
        return Fate(faults.latency)
