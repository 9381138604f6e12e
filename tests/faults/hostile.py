"""Runs a command of the project in this process, in which something goes wrong on purpose.

python -m tests.faults.hostile '{"die": ["eval.evaluator.write_record", 2]}' eval.worker ...
python -m tests.faults.hostile '{"stop": ["qlae.training.checkpoints.load_state", 1]}' ...
python -m tests.faults.hostile '{"fail_saves": [20, 30]}' experiments.train ...
"""

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from orbax.checkpoint import v1 as ocp

from qlae.common.command_line import run_command


def main(arguments: Sequence[str]) -> int | None:
    """Arranges the faults, then runs the command."""
    faults, module, *rest = arguments
    for name, value in json.loads(faults).items():
        {
            "die": lambda v: signal_before(signal.SIGKILL, *v),
            "stop": lambda v: signal_before(signal.SIGTERM, *v),
            "fail_saves": fail_saves,
        }[name](value)
    return importlib.import_module(module).main(rest)


def signal_before(kind: signal.Signals, name: str, call: int, after: bool = False) -> None:
    """Signals this process before, or after, a function of the project is called so many times.

    When it does is printed on stderr: `signal at SECONDS`, as `time.time` counts them.
    """
    owner, attribute = find(name)
    function, calls = getattr(owner, attribute), 0

    def call_or_signal(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if after:
            result = function(*args, **kwargs)
        if calls == call:
            print(f"signal at {time.time()}", file=sys.stderr, flush=True)
            os.kill(os.getpid(), kind)
        return result if after else function(*args, **kwargs)

    setattr(owner, attribute, call_or_signal)


def find(name: str) -> tuple[Any, str]:
    """Returns what holds a function, and its name there: `module.function` or `module.Class.f`."""
    path, _, attribute = name.rpartition(".")
    try:
        return importlib.import_module(path), attribute
    except ModuleNotFoundError:
        module, _, class_name = path.rpartition(".")
        return getattr(importlib.import_module(module), class_name), attribute


def fail_saves(steps: Sequence[int]) -> None:
    """Fails the saves of these steps, as a disk that is full for a moment."""
    save = ocp.training.Checkpointer.save_checkpointables_async

    def save_or_fail(self: Any, step: int, *args: Any, **kwargs: Any) -> Any:
        if step in steps:
            raise OSError(28, "No space left on device")
        return save(self, step, *args, **kwargs)

    ocp.training.Checkpointer.save_checkpointables_async = save_or_fail


if __name__ == "__main__":
    sys.exit(run_command(main))
