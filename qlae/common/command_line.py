"""How every command meets its user: flags in, one clear line and an exit code out."""

import argparse
import contextlib
import enum
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from qlae.common.errors import RunFailed, StorageError, UserError, explain

_GRACE = 5.0  # seconds that a command has, after SIGTERM, to give back what it holds


class Exit(enum.IntEnum):
    """Exit codes of all commands."""

    DONE = 0
    FAILED = 1  # the run failed; the same command would fail again
    MISTAKE = 2  # of the user
    TRY_AGAIN = 75  # storage or network; the same command may succeed
    INTERRUPTED = 130  # by Ctrl-C
    STOPPED = 143  # asked to stop, and did so in order; the same command resumes


class Terminated(BaseException):
    """SIGTERM came where nothing has to be saved first."""


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with one line.

    Args:
        module: as it is started, `python -m module`.
        description: the module's docstring, shown by `--help` as it is.
        epilog: shown below the flags.
    """

    def __init__(self, module: str, description: str | None, epilog: str | None = None):
        super().__init__(
            prog=f"python -m {module}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raises a `UserError`."""
        raise UserError(f"{message} (see --help)")


def run_command(
    main: Callable[[Sequence[str]], int | None],
    arguments: Sequence[str] | None = None,
    mistakes: tuple[type[Exception], ...] = (),
) -> int:
    """Runs a command; returns its exit code (`Exit`), after one line on stderr for an error.

    Args:
        main: arguments -> exit code, or None when it is done.
        arguments: of the command line; None takes this process's.
        mistakes: further exceptions that are the user's mistake.
    """
    try:
        with _hearing_sigterm():
            code = main(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough; nothing is left to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr, flush=True)
        os._exit(Exit.INTERRUPTED)  # not waiting for steps that a device still has to take
    except Terminated:
        print("stopped as asked; the same command goes on from here", file=sys.stderr, flush=True)
        os._exit(Exit.STOPPED)  # not waiting for what threads still compile
    except Exception as error:
        meaning = explain(error)
        if isinstance(meaning, (UserError, *mistakes)):
            return complain(meaning, Exit.MISTAKE)
        if isinstance(meaning, RunFailed):
            return complain(meaning, Exit.FAILED)
        if isinstance(meaning, StorageError):
            return complain(meaning, Exit.TRY_AGAIN)
        raise
    return Exit.DONE if code is None else code


@contextlib.contextmanager
def _hearing_sigterm() -> Iterator[None]:
    """Turns SIGTERM into `Terminated`, so that what is held is given back, unless it has a use."""
    kind = signal.SIGTERM
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(kind) is not signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: Any) -> NoReturn:
        signal.signal(kind, signal.SIG_DFL)  # once more stops at once
        # A library may wait for its own threads before it lets the exception pass, or never do so.
        ending = threading.Timer(_GRACE, os._exit, (Exit.STOPPED,))
        ending.daemon = True
        ending.start()
        raise Terminated

    signal.signal(kind, stop)
    try:
        yield
    finally:
        if signal.getsignal(kind) is stop:
            signal.signal(kind, signal.SIG_DFL)


def complain(error: Exception, code: Exit) -> Exit:
    """Prints an error as one line on stderr; returns the code."""
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
    return code


def format_duration(seconds: float) -> str:
    """Returns h:mm:ss, or m:ss below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
