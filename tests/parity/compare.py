"""Errors against stored arrays, and the limits that they must keep (golden README, section 6)."""

from dataclasses import dataclass, field

import jax
import numpy as np

# The mathematically zero gradient of the critic's bias: rounding noise there moves Adam by lr.
_UNDETERMINED = ("['critic']['bias']",)


@dataclass
class Kind:
    """Errors of one kind of array. `error` and `limit` are in the unit that `unit` names."""

    name: str
    unit: str
    limit: float
    exceptions: float = 0.0  # share of entries that may exceed `limit`, up to `ceiling`
    ceiling: float = 0.0
    errors: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def worst(self) -> tuple[str, float]:
        """The array with the largest error, and that error."""
        name = max(self.errors, key=lambda key: float(self.errors[key].max()))
        return name, float(self.errors[name].max())

    @property
    def passed(self) -> bool:
        """Whether all entries, or all but the allowed share, are within the limit."""
        entries = np.concatenate([error.ravel() for error in self.errors.values()])
        exceeding = entries > self.limit
        return bool(
            exceeding.mean() <= self.exceptions and (entries <= max(self.limit, self.ceiling)).all()
        )


class Report:
    """The errors of one file in one dtype."""

    def __init__(
        self, dtype: str, learning_rate: float, undetermined: frozenset[str] = frozenset()
    ):
        self.double = dtype == "float64"
        self.skipped = frozenset(_UNDETERMINED) | (frozenset() if self.double else undetermined)
        self.learning_rate = learning_rate
        self.kinds: dict[str, Kind] = {}

    def add_value(self, kind: str, name: str, stored: np.ndarray, ours) -> None:
        """Compares an output or a loss, relative to its largest entry; integers must be equal."""
        if np.issubdtype(stored.dtype, np.integer):
            found = self._kind(f"{kind} (integers)", "differing entries", 0.0)
            found.errors[name] = np.asarray(np.sum(stored != np.asarray(ours)), float)
            return
        scale = np.abs(stored).max()
        found = self._kind(kind, "of max", 1e-6 if self.double else 3e-4)
        floor = 0.0 if self.double else 1e-6
        found.errors[name] = _excess(stored, ours, floor).max() / max(scale, 1e-30)

    def add_grads(self, kind: str, stored: dict, ours: dict) -> None:
        """Compares gradients, each tensor relative to its largest entry."""
        limits = (1e-6,) if self.double else (1e-3, 0.05, 5e-2)
        found = self._kind(kind, "of max", *limits)
        for name, a, b in _pairs(stored, ours):
            if not self.double and name in self.skipped:
                continue
            scale = np.abs(a).max()
            # Where the stored gradient is exactly zero, ours must be rounding noise at most.
            error = np.abs(a - b).max()
            found.errors[name] = np.asarray(error / scale if scale else error)

    def add_params(self, kind: str, stored: dict, ours: dict, exceptions: float) -> None:
        """Compares parameters after updates, in units of the learning rate."""
        lr = self.learning_rate
        limits = (0.005,) if self.double else (0.02, exceptions, 2.1 if exceptions < 0.01 else 6.3)
        found = self._kind(kind, "learning rates", *limits)
        for name, a, b in _pairs(stored, ours):
            if name not in self.skipped:
                found.errors[name] = _excess(a, b, 1e-7 * np.abs(a).max()) / lr

    def add_exact(self, kind: str, stored: dict, ours: dict) -> None:
        """Compares parameters to 1e-6 absolute: an optimizer alone, on given gradients."""
        found = self._kind(kind, "absolute", 1e-6)
        for name, a, b in _pairs(stored, ours):
            found.errors[name] = np.abs(a - b)

    def _kind(self, name: str, unit: str, *limits: float) -> Kind:
        return self.kinds.setdefault(name, Kind(name, unit, *limits))


def _excess(stored: np.ndarray, ours, floor: float) -> np.ndarray:
    return np.maximum(np.abs(stored - np.asarray(ours)) - floor, 0)


def _pairs(stored: dict, ours: dict):
    a, b = (
        {
            jax.tree_util.keystr(path): np.asarray(leaf)
            for path, leaf in jax.tree.leaves_with_path(t)
        }
        for t in (stored, ours)
    )
    assert set(a) == set(b), f"parameters differ: {sorted(set(a) ^ set(b))[:4]}"
    for name in a:
        assert a[name].shape == b[name].shape, f"{name}: {a[name].shape} against {b[name].shape}"
        yield name, a[name], b[name]
