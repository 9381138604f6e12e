"""An xpk that plays a scenario.

Keys of scenario.json: xpk_list and xpk_create (errors), workloads (names that exist), wait (exit
statuses of the wait, one after the other), wait_seconds, log (lines that kubectl prints).
"""

import json
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(os.environ["FAKE_CLOUD"])
scenario = json.loads((ROOT / "scenario.json").read_text())
arguments = sys.argv[1:]
with open(ROOT / "calls.jsonl", "a") as calls:
    calls.write(json.dumps(["xpk", *arguments]) + "\n")


def fail(message):
    if message:
        print(f"[XPK] {message}")
        sys.exit(1)


if any(a.startswith("--wait-for-job-completion") for a in arguments):
    time.sleep(scenario.get("wait_seconds", 0.2))
    counter = ROOT / "waits"
    number = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(number + 1))
    statuses = scenario.get("wait", [0])
    sys.exit(statuses[min(number, len(statuses) - 1)])
if "list" in arguments:
    fail(scenario.get("xpk_list"))
    print("Jobset Name   Created Time   Priority")
    for name in scenario.get("workloads", []):
        print(f"{name}   2026-01-01T00:00:00Z   medium")
if "create" in arguments:
    fail(scenario.get("xpk_create"))
    for argument in arguments:
        if argument.startswith("--script-dir="):
            assert (pathlib.Path(argument.partition("=")[2]) / "requirements.lock").exists()
