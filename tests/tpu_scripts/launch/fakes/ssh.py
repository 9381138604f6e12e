"""The ssh and scp under the real gcloud: an address is a worker's home directory.

Keys of scenario.json: dead_now, workers that answer nobody.
"""

import json
import os
import pathlib
import re
import shutil
import sys

import worker

ROOT = pathlib.Path(os.environ["FAKE_CLOUD"])
PROGRAM = pathlib.Path(os.environ["FAKE_PROGRAM"]).name


def locate(text: str) -> tuple[str, str, str]:
    """Returns machine, worker and what follows the address."""
    _, tens, node, number, rest = re.fullmatch(
        r"(\w+)@127\.(\d+)\.(\d+)\.(\d+)(.*)", text, re.DOTALL
    ).groups()
    return (ROOT / f"address-{tens}").read_text(), f"{node}/{number}", rest


def main() -> int:
    arguments = sys.argv[1:]
    at = next(i for i, word in enumerate(arguments) if re.match(r"\w+@127\.", word))
    name, which, rest = locate(arguments[at])
    with open(ROOT / "ssh.jsonl", "a") as calls:
        calls.write(json.dumps([PROGRAM, f"{name}:{which}", *arguments]) + "\n")
    home = ROOT / "machines" / name / which.replace("/", "-")
    if worker.is_dead(which) or not home.exists():
        print(f"ssh: connect to host {which} port 22: Connection timed out", file=sys.stderr)
        return worker.CUT
    if PROGRAM == "scp":
        shutil.copy(arguments[at - 1], home / rest.lstrip(":"))
        return 0
    script = arguments[at + 1 :]
    return worker.run(home, name, which, " ".join(script[1:] if script[0] == "--" else script))


sys.exit(main())
