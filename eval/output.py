"""How a command hands over what it found."""

import sys
from collections.abc import Iterable

from qlae.common.files import write_output


def put_out(text: str, out: str | None, notes: Iterable[str] = ()) -> None:
    """Writes a text to a file, or else to standard output; and notes on it to stderr.

    Raises:
      UserError: the file cannot be written.
    """
    if out:
        write_output(out, text + "\n")
    else:
        print(text)
    put_notes(notes)


def put_notes(notes: Iterable[str]) -> None:
    """Writes notes on what a command found to stderr."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
