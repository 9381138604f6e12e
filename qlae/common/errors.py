"""The ways in which a command ends early: each is one line for its user, and an exit code."""

import difflib
import os
from collections.abc import Iterable

_MOST_LISTED = 20


class UserError(ValueError):
    """A mistake in what the user gave: the message says what is wrong, expected, and to do."""


class RunFailed(Exception):
    """A run that cannot go on through no mistake in its arguments; trying again is no help."""


class StorageError(Exception):
    """A store or a network that did not answer as it should; the same command may succeed later."""


# Of the operating system's errors, those that no waiting mends.
WRONG_PATHS: tuple[type[OSError], ...] = (
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)


# What raises when JAX finds none of the backends that it was told to take.
_BACKENDS = "jax._src.xla_bridge"
# Where the exceptions of the libraries that speak with a store are defined.
_STORES = ("gcsfs", "aiohttp", "requests", "urllib3", "google.auth", "google.api_core")


def explain(error: Exception) -> Exception:
    """Returns what an error means for the user: a mistake, a store to try again, or a defect."""
    if isinstance(error, WRONG_PATHS):
        return UserError(str(error))
    if isinstance(error, OSError):
        return StorageError(str(error))
    if any(kind.__module__.startswith(_STORES) for kind in type(error).__mro__):
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return StorageError(f"the store did not answer as it should: {reason}")
    platforms = os.environ.get("JAX_PLATFORMS")
    if platforms and _comes_from(error, _BACKENDS):
        reason = " ".join(str(error).split()) or "none of these is here"
        return UserError(
            f"JAX_PLATFORMS={platforms}: {reason}; expected cpu, tpu or cuda, or several of "
            "them by commas, of which this machine has one, or nothing, for the best that it has"
        )
    return error


def _comes_from(error: Exception, module: str) -> bool:
    """Whether a module raised an error, be it a bare assertion."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") == module


def make_unknown_name_error(kind: str, name: object, valid: Iterable[str]) -> UserError:
    """Returns a `UserError` for an unknown `name`, with the nearest valid one if any is."""
    valid = sorted(valid)
    near = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.5)
    if near and len(valid) > _MOST_LISTED:
        return UserError(f"unknown {kind} {name!r}: did you mean {near[0]!r}?")
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UserError(f"unknown {kind} {name!r}: {hint}valid: {', '.join(valid)}")
