"""A kubectl that tells of the JobSets that the fake xpk made.

Keys of scenario.json: workloads (names that exist already), end (Completed or Failed), end_seconds
(after the start), log (lines; the first call finds no pod), pending (pods that never run; then
there is no log), codes (exit codes of the pods), kubectl (an error), away (how many looks get no
answer).
"""

import json
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(os.environ["FAKE_CLOUD"])
scenario = json.loads((ROOT / "scenario.json").read_text())
with open(ROOT / "calls.jsonl", "a") as calls:
    calls.write(json.dumps(["kubectl", *sys.argv[1:]]) + "\n")
context, _, *arguments = sys.argv[1:]
assert context == "--context=gke_my-project_us-west4_pool", context


def look(name):
    jobset = ROOT / f"jobset-{name}"
    if scenario.get("kubectl"):
        sys.exit(f"Error from server (Forbidden): {scenario['kubectl']}")
    if not jobset.exists() and name not in scenario.get("workloads", []):
        sys.exit(f'Error from server (NotFound): jobsets.jobset.x-k8s.io "{name}" not found')
    looks = ROOT / "looks"
    number = int(looks.read_text()) if looks.exists() else 0
    looks.write_text(str(number + 1))
    if number < scenario.get("away", 0):
        sys.exit("Unable to connect to the server: dial tcp 1.2.3.4:443: i/o timeout")
    conditions = [{"type": "StartupPolicyCompleted", "status": "True"}]
    started = float(jobset.read_text()) if jobset.exists() else time.time()
    if time.time() > started + scenario.get("end_seconds", 0.2):
        conditions.append({"type": scenario.get("end", "Completed"), "status": "True"})
    print(json.dumps({"metadata": {"name": name}, "status": {"conditions": conditions}}))


def list_pods():
    pods = [
        {"metadata": {"name": name}, "status": {"phase": "Pending"}}
        for name in scenario.get("pending", [])
    ]
    for index, code in enumerate(scenario.get("codes", [])):
        statuses = [{"state": {"terminated": {"exitCode": code}}}]
        status = {"phase": "Failed", "containerStatuses": statuses}
        pods.append({"metadata": {"name": f"run-slice-job-0-{index}-x"}, "status": status})
    print(json.dumps({"items": pods}))


def tell_log():
    if not (ROOT / "pod").exists() or scenario.get("pending"):
        (ROOT / "pod").touch()
        print("No resources found in default namespace.")
        return
    for line in scenario.get("log", ["step 1", "EXIT_CODE=0"]):
        print(line if line.startswith("[pod/") else f"[pod/run-slice-job-0-0-abc/jax-tpu] {line}")


match arguments:
    case ["get", "jobset", name, *_]:
        look(name)
    case ["get", "pods", *_]:
        list_pods()
    case ["logs", *_]:
        tell_log()
