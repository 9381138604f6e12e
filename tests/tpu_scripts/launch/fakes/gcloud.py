"""A gcloud that plays a scenario: machines are directories, workers their home directories.

It answers as google-cloud-cli 528 does: ssh and scp of `tpu-vm` reach one worker, print what they
do on stderr, end with the script's own exit code, and with 1 and an ERROR where they did nothing.

Keys of scenario.json, each a list with one entry per creation (the last one repeats):
  create: null, or the error that refuses it
  states: the states that `describe` tells one after the other (the last one repeats)
  lost:   the state told once the log has been followed for a moment, or null
  dead:   workers that never answer
  deaf:   workers that miss the first `start`, though ssh says that all is well
  cut:    how many times following breaks off, after the first line and then without any
and, for any call: describe (an error), delete (errors, of one call each), install (an error).
"""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import sys
import time

import worker as worker_fake

ROOT = pathlib.Path(os.environ["FAKE_CLOUD"])
HOSTS = {"v5litepod-1": 1, "v5litepod-16": 4, "v5litepod-256": 64}


@contextlib.contextmanager
def locked():
    with open(ROOT / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def load(name, default):
    path = ROOT / name
    return json.loads(path.read_text()) if path.exists() else default


def save(name, value):
    (ROOT / name).write_text(json.dumps(value))


def fail(message):
    print(f"ERROR: (gcloud.compute) {message}", file=sys.stderr)
    print("\nTo check gcloud, please run the following command:\n  gcloud info", file=sys.stderr)
    sys.exit(1)


def flag(arguments, name, default=None):
    prefix = f"--{name}="
    found = [a[len(prefix) :] for a in arguments if a.startswith(prefix)]
    return found[-1] if found else default


def entry(key, number, default=None):
    """The scenario's entry for the creation `number`, from 1."""
    entries = load("scenario.json", {}).get(key) or [default]
    return entries[min(number, len(entries)) - 1]


def count(name):
    """How often this was called with a name, from 1."""
    with locked():
        counts = load("counts.json", {})
        counts[name] = counts.get(name, 0) + 1
        save("counts.json", counts)
        return counts[name]


def create(name, arguments):
    number = count(name)
    error = entry("create", number) if not name.endswith("-eval") else None
    if error:
        fail(error)
    machine = ROOT / "machines" / name
    if machine.exists():
        fail(f"ALREADY_EXISTS: Resource '{name}' already exists")
    slices = int(flag(arguments, "node-count", "1"))
    hosts = HOSTS.get(flag(arguments, "accelerator-type"), 1)
    for node in range(slices):
        for worker in range(hosts):
            (machine / f"{node}-{worker}").mkdir(parents=True)
    (machine / "slices").write_text(str(slices))
    (machine / "number").write_text(str(number))
    print(f"Created queued_resource [{name}].", file=sys.stderr)


def describe(name, arguments):
    scenario = load("scenario.json", {})
    if scenario.get("describe"):
        fail(scenario["describe"])
    machine = ROOT / "machines" / name
    if not machine.exists():
        fail(f"NOT_FOUND: Resource '{name}' was not found")
    if "instances" in arguments or name.endswith("-eval"):
        active = {"status": "RUNNING", "state": {"state": "ACTIVE"}}
        print(json.dumps(active))
        return
    number = int((machine / "number").read_text())
    seen_path = machine / "seen"
    seen = int(seen_path.read_text()) if seen_path.exists() else 0
    seen_path.write_text(str(seen + 1))
    states = entry("states", number, ["WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"])
    word = states[min(seen, len(states) - 1)]
    lost = entry("lost", number)
    if lost and (machine / "followed").exists():
        word = lost
    state = {"state": word}
    if word == "FAILED":
        message = scenario.get("reason", "There is no more capacity in the zone")
        state["failedData"] = {"error": {"code": 8, "message": message}}
    print(json.dumps({"name": name, "state": state}))


def reach(target, arguments):
    """Returns the machine, its creation's number, the worker's id and its home directory."""
    node = target.rpartition("@")[2]
    machine, slice_number = node, "0"
    if not (ROOT / "machines" / machine).exists():
        machine, _, slice_number = node.rpartition("-")
    number = flag(arguments, "worker", "0")
    home = ROOT / "machines" / machine / f"{slice_number}-{number}"
    if not machine or not home.exists():
        fail(f"NOT_FOUND: Resource 'nodes/{node}' was not found")
    print(f"SSH: Attempting to connect to worker {number}...", file=sys.stderr)
    return machine, int((home.parent / "number").read_text()), f"{slice_number}/{number}", home


def ssh(target, arguments):
    name, number, worker, home = reach(target, arguments)
    script = flag(arguments, "command")
    starts, installs = "nohup" in script, "pip install" in script
    if installs and load("scenario.json", {}).get("install"):
        print(load("scenario.json", {})["install"], file=sys.stderr)
        sys.exit(1)
    evaluator = name.endswith("-eval")
    if not evaluator and worker in entry("dead", number, []):
        print("Retrying: SSH command error: [/usr/bin/ssh] exited with return code [255].")
        fail("[/usr/bin/ssh] exited with return code [255].")
    deaf = not evaluator and starts and worker in entry("deaf", number, [])
    if deaf and not (home / "asked").exists():
        (home / "asked").touch()
        sys.exit(0)
    if f"{worker_fake.MARK} log from" in script:
        (ROOT / "machines" / name / "followed").touch()
        cut(ROOT / "machines" / name / "cuts", number, home / "qlae/train.log")
    sys.exit(worker_fake.run(home, name, worker, script))


def cut(counter, number, log):
    """Breaks the connection off as long as the scenario says."""
    cuts = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(cuts + 1))
    if cuts < entry("cut", number, 0):
        if cuts == 0:
            while not log.exists() or not log.read_text():
                time.sleep(0.02)
            print(f"{worker_fake.MARK} log from 1\n| {log.read_text().splitlines()[0]}", flush=True)
            print("| a line broken off", end="", flush=True)
        fail("[/usr/bin/ssh] exited with return code [255].")


def scp(source, arguments):
    target = next(a for a in arguments if ":" in a and not a.startswith("--"))
    node, _, path = target.partition(":")
    *_, home = reach(node, arguments)
    shutil.copy(source, home / path)


def delete(name, arguments):
    errors = load("scenario.json", {}).get("delete", [])
    number = count(f"delete {name}")
    if number <= len(errors):
        fail(errors[number - 1])
    machine = ROOT / "machines" / name
    if not machine.exists():
        fail(f"NOT_FOUND: Resource '{name}' was not found")
    for pid in machine.glob("*/*/*.pid"):
        with contextlib.suppress(ValueError, ProcessLookupError):
            os.killpg(int(pid.read_text()), signal.SIGKILL)
    shutil.rmtree(machine)


def main():
    arguments = sys.argv[1:]
    if arguments[0] == "version":
        print(json.dumps({"Google Cloud SDK": "528.0.0", "alpha": "2025.06.20"}))
        return
    if arguments[0] == "container":
        print("kubeconfig entry generated for pool.", file=sys.stderr)
        return
    verbs = {"create": create, "describe": describe, "ssh": ssh, "scp": scp, "delete": delete}
    at = next(i for i, word in enumerate(arguments) if word in verbs)
    name = arguments[at + 1]
    with locked(), open(ROOT / "calls.jsonl", "a") as calls:
        calls.write(json.dumps(["gcloud", *arguments]) + "\n")
    verbs[arguments[at]](name, arguments[at + 2 :] if arguments[at] == "scp" else arguments)


main()
