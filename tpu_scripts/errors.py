"""The two final errors of a launch: a mistake by the user, and a run that cannot be finished."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in what the user gave (exit status 2): what is wrong, expected, and to do."""


class LaunchError(RuntimeError):
    """A launch that failed for good (exit status 1): retries used up, a timeout, a failed run."""


def make_unknown_name_error(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """Returns a `UserError` for an unknown `name` that lists the valid names nearest to it."""
    valid = list(valid)
    near = difflib.get_close_matches(name.lower(), valid, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"valid: {', '.join(valid)}"
    return UserError(f"unknown {kind} {name!r}: {hint}")
