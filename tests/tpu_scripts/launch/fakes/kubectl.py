"""A kubectl whose `logs` prints the scenario's lines; no pod exists at the first call.

Keys of scenario.json: log (lines), pending (pods that never run; then there is no log).
"""

import json
import os
import pathlib
import sys

ROOT = pathlib.Path(os.environ["FAKE_CLOUD"])
scenario = json.loads((ROOT / "scenario.json").read_text())
with open(ROOT / "calls.jsonl", "a") as calls:
    calls.write(json.dumps(["kubectl", *sys.argv[1:]]) + "\n")
if "pods" in sys.argv:
    print("\n".join(scenario["pending"]))
    sys.exit(0)
if not (ROOT / "pod").exists() or scenario.get("pending"):
    (ROOT / "pod").touch()
    print("No resources found in default namespace.")
    sys.exit(0)
for line in scenario.get("log", ["step 1", "EXIT_CODE=0"]):
    print(line if line.startswith("[pod/") else f"[pod/run-slice-job-0-0-abc/jax-tpu] {line}")
