"""A gcloud that plays a scenario: machines are directories, workers their home directories.

Keys of scenario.json, each a list with one entry per creation (the last one repeats):
  create: null, or the error that refuses it
  states: the states that `describe` tells one after the other (the last one repeats)
  lost:   the state told once the log has been followed for a moment, or null
  dead:   workers that never answer
  deaf:   workers that miss the first `start`
  cut:    how many times following breaks off, after the first line and then without any
and, for any call: describe (an error), delete (an error), install (an error).
"""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

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
    print(f"ERROR: (gcloud) {message}", file=sys.stderr)
    sys.exit(1)


def flag(arguments, name, default=None):
    prefix = f"--{name}="
    found = [a[len(prefix) :] for a in arguments if a.startswith(prefix)]
    return found[-1] if found else default


def entry(key, number, default=None):
    """The scenario's entry for the creation `number`, from 1."""
    entries = load("scenario.json", {}).get(key) or [default]
    return entries[min(number, len(entries)) - 1]


def create(name, arguments):
    counts = load("counts.json", {})
    counts[name] = number = counts.get(name, 0) + 1
    save("counts.json", counts)
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
    (machine / "number").write_text(str(number))


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


def homes(name, arguments):
    machine = ROOT / "machines" / name
    if not machine.exists():
        fail(f"NOT_FOUND: Resource '{name}' was not found")
    number = int((machine / "number").read_text())
    node, worker = flag(arguments, "node", "all"), flag(arguments, "worker", "all")
    for home in sorted(path for path in machine.iterdir() if path.is_dir()):
        this_node, this_worker = home.name.split("-")
        if node in ("all", this_node) and worker in ("all", this_worker):
            yield number, f"{this_node}/{this_worker}", home


def ssh(name, arguments):
    script = flag(arguments, "command")
    starts, installs = "nohup" in script, "pip install" in script
    if installs and load("scenario.json", {}).get("install"):
        fail(load("scenario.json", {})["install"])
    statuses = []
    for number, worker, home in homes(name, arguments):
        evaluator = name.endswith("-eval")
        if not evaluator and worker in entry("dead", number, []):
            print(f"ssh: connect to host {worker}: Connection timed out", file=sys.stderr)
            statuses.append(255)
            continue
        deaf = not evaluator and starts and worker in entry("deaf", number, [])
        if deaf and not (home / "asked").exists():
            (home / "asked").touch()
            statuses.append(255)
            continue
        if "tail -n +1" in script:
            (ROOT / "machines" / name / "followed").touch()
            cut(ROOT / "machines" / name / "cuts", number, home / "qlae/train.log")
        environment = {**os.environ, "HOME": str(home), "FAKE_WORKER": f"{name}:{worker}"}
        environment["FAKE_NUMBER"] = str(number)
        statuses.append(
            subprocess.run(
                ["bash", "-c", script], cwd=home, env=environment, check=False
            ).returncode
        )
    sys.exit(max(statuses, default=0))


def cut(counter, number, log):
    """Breaks the connection off as long as the scenario says."""
    cuts = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(cuts + 1))
    if cuts < entry("cut", number, 0):
        if cuts == 0:
            while not log.exists() or not log.read_text():
                time.sleep(0.02)
            print(log.read_text().splitlines()[0], flush=True)
        sys.exit(255)


def scp(name, arguments):
    source, destination = (a for a in arguments if not a.startswith("--"))
    machine, _, path = destination.partition(":")
    for _, _, home in homes(machine, arguments):
        shutil.copy(source, home / path)


def delete(name, arguments):
    error = load("scenario.json", {}).get("delete")
    if error:
        fail(error)
    machine = ROOT / "machines" / name
    if not machine.exists():
        fail(f"NOT_FOUND: Resource '{name}' was not found")
    for pid in machine.glob("*/*/*.pid"):
        with contextlib.suppress(ValueError, ProcessLookupError):
            os.killpg(int(pid.read_text()), signal.SIGKILL)
    shutil.rmtree(machine)


def main():
    arguments = sys.argv[1:]
    verbs = {"create": create, "describe": describe, "ssh": ssh, "scp": scp, "delete": delete}
    at = next(i for i, word in enumerate(arguments) if word in verbs)
    name, rest = arguments[at + 1], arguments[at + 1 :]
    with locked(), open(ROOT / "calls.jsonl", "a") as calls:
        calls.write(json.dumps(["gcloud", *arguments]) + "\n")
    if arguments[at] in ("ssh", "scp"):
        verbs[arguments[at]](name, rest)
    else:
        with locked():
            verbs[arguments[at]](name, arguments)


main()
