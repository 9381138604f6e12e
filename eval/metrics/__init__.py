"""Metrics of disentanglement: pure functions of (sources, latents)."""

import importlib
from typing import Any

# Each is imported when it is first asked for: scikit-learn, which few metrics need, takes long.
_HOMES = {
    "InfoMEC": "infomec",
    "InputError": "errors",
    "METRICS": "registry",
    "METRIC_VERSION": "registry",
    "compute_infomec": "infomec",
    "compute_metrics": "registry",
    "get_metric": "registry",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
