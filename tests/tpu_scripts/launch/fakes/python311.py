"""A python3.11 that makes environments of itself, and plays the trainer and the evaluator.

Keys of scenario.json: train, a list with one [seconds, exit status] per start on worker 0/0 (the
last one repeats; further workers do as it does); evaluate, one [seconds, exit status].
"""

import json
import os
import pathlib
import shutil
import sys
import time

ROOT = pathlib.Path(os.environ["FAKE_CLOUD"])


def make_environment(directory):
    binaries = pathlib.Path(directory) / "bin"
    binaries.mkdir(parents=True, exist_ok=True)
    shutil.copy(shutil.which("python3.11"), binaries / "python")


def play(module):
    scenario = json.loads((ROOT / "scenario.json").read_text())
    worker = os.environ["FAKE_WORKER"]
    counter = ROOT / f"starts-{worker.replace('/', '-')}"
    number = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(number))
    plays = scenario.get("train", [[0.2, 0]])
    if module == "eval.worker":
        plays = [scenario.get("evaluate", [0.2, 0])]
    seconds, status = plays[min(number, len(plays)) - 1]
    platforms = os.environ.get("JAX_PLATFORMS")
    print(f"{module} start {number} on {worker} with {platforms}: {sys.argv[3:]}", flush=True)
    time.sleep(seconds)
    print(f"{module} leaves with {status}", flush=True)
    sys.exit(status)


match sys.argv[1:]:
    case ["-c", _]:
        pass
    case ["-m", "venv", directory]:
        make_environment(directory)
    case ["-m", "pip", *_]:
        assert pathlib.Path("requirements.lock").exists()
    case ["-m", module, *_]:
        play(module)
