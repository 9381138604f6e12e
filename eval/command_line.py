"""How the commands of this room meet their user: one line for a mistake, exit code 2."""

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from etils import epath

from eval.metrics.errors import UserError


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with one line."""

    def error(self, message: str) -> NoReturn:
        """Prints the line and exits with code 2."""
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2)


def run_command(command: Callable[[], int]) -> int:
    """Runs a command; returns its exit code, or 2 after the line of a UserError."""
    try:
        code = command()
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader (head, less) has seen enough; nothing is left to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def write_text(path: str, text: str) -> None:
    """Writes a file, or raises a UserError that says why not."""
    try:
        epath.Path(path).write_text(text)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
