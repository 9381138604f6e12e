"""The error that a user can act on: one line, which says what is wrong and what to do."""


class InputError(ValueError):
    """Input that cannot be scored; its message is one complete line."""
