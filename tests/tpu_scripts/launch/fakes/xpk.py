"""An xpk that plays a scenario.

Keys of scenario.json: xpk_create (an error); what becomes of the workload is kubectl's to tell.
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
(workload,) = (a.partition("=")[2] for a in arguments if a.startswith("--workload="))
jobset = ROOT / f"jobset-{workload}"
if "create" in arguments:
    if scenario.get("xpk_create"):
        print(f"[XPK] {scenario['xpk_create']}")
        sys.exit(1)
    for argument in arguments:
        if argument.startswith("--script-dir="):
            assert (pathlib.Path(argument.partition("=")[2]) / "requirements/tpu.lock").exists()
    jobset.write_text(str(time.time()))
if "delete" in arguments:
    jobset.unlink()
