"""One error type for a user's mistake, so that entry points can tell it from a defect."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in what was asked for; its one-line message says what to do about it."""


def nearest_name_error(kind: str, name: str, valid_names: Iterable[str]) -> UserError:
    """Return the error for an unknown name, pointing at the nearest valid one."""
    valid = sorted(valid_names)
    close = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}?" if close else "that is unlike every known name."
    return UserError(f"unknown {kind} {name!r}: {hint} Valid: {', '.join(valid)}")
