"""A python3.11 that plays the trainer and the evaluator; python311.sh makes its environments.

Keys of scenario.json: train, a list with one [seconds, exit code] per start on a worker (the last
one repeats), or one such list for some workers by their names ("0/3") and "else"; evaluate, one
[seconds, exit code]; bucket, [exit code, error line]; newest, the newest step at each look.
"""

import json
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(os.environ["FAKE_CLOUD"])


def load_scenario():
    return json.loads((ROOT / "scenario.json").read_text())


def count(name):
    """Counts from 1 how often this was called with a name."""
    counter = ROOT / name
    number = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(number))
    return number


def try_bucket(arguments):
    scenario = load_scenario()
    code, line = scenario.get("bucket", [0, ""])
    if code:
        print(f"error: {line}", file=sys.stderr)
        sys.exit(code)
    if "--newest" not in arguments:
        print("[launch] bucket written, read and deleted")
    steps = scenario.get("newest", [-1])
    print(f"[launch] newest {steps[min(count('newest'), len(steps)) - 1]}")


def play(module):
    scenario = load_scenario()
    worker = os.environ["FAKE_WORKER"]
    number = count(f"starts-{worker.replace('/', '-')}")
    plays = scenario.get("train", [[0.2, 0]])
    if isinstance(plays, dict):
        plays = plays.get(worker.partition(":")[2], plays["else"])
    if module == "eval.worker":
        plays = [scenario.get("evaluate", [0.2, 0])]
    seconds, code = plays[min(number, len(plays)) - 1]
    platforms = os.environ.get("JAX_PLATFORMS")
    print(f"{module} start {number} on {worker} with {platforms}: {sys.argv[3:]}", flush=True)
    time.sleep(seconds)
    print(f"{module} leaves with {code}", flush=True)
    sys.exit(code)


match sys.argv[1:]:
    case ["-m", "tpu_scripts.launch.bucket", *rest]:
        try_bucket(rest)
    case ["-m", module, *_]:
        play(module)
