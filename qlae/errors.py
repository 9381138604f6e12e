"""The error that a user's mistake raises: one line, no traceback at an entry point."""

import difflib
from collections.abc import Iterable

_MOST_LISTED = 20


class UserError(ValueError):
    """A mistake in what the user gave: the message says what is wrong, expected, and to do."""


def make_unknown_name_error(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """Returns a `UserError` for an unknown `name`, with the nearest valid one if any is."""
    valid = sorted(valid)
    near = difflib.get_close_matches(name, valid, n=1)
    if near and len(valid) > _MOST_LISTED:
        return UserError(f"unknown {kind} {name!r}: did you mean {near[0]!r}?")
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UserError(f"unknown {kind} {name!r}: {hint}valid: {', '.join(valid)}")


class TrainingFailed(Exception):
    """A run that cannot go on through no mistake in its arguments; the message is one line."""
