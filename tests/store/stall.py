"""What a slow store costs a train step: the same steps on a disk and on `gs://`, in turn.

    python -m tests.store.stall [--turns=3] [--steps=4000]

The store is this folder's, on loopback, and answers each operation after 300 ms. The time is that
of the loop alone, its reports and four saves included, from the first step to the last.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

from tests import runs
from tests.store.faults import Faults
from tests.store.server import StoreServer, serve

_TIMED = """
import sys, time
from experiments import train
loop = train.train
def timed(*arguments):
    began = time.perf_counter()
    step = loop(*arguments)
    print("seconds:", time.perf_counter() - began)
    return step
train.train = timed
sys.exit(train.main(sys.argv[1:]))
"""


def measure(workdir: str, steps: int, store: StoreServer) -> float:
    """Returns the milliseconds of a step of the quick config, whose run is in `workdir`."""
    arguments = ["--config=experiments/configs/quickstart.py", f"--workdir={workdir}"]
    arguments += [f"--config.num_steps={steps}", f"--config.checkpoint_every={steps // 4}"]
    done = subprocess.run(
        [sys.executable, "-c", _TIMED, *arguments],
        env=os.environ | {"JAX_PLATFORMS": "cpu"} | store.environment(),
        cwd=runs.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    output = done.stdout
    (line,) = (line for line in output.splitlines() if line.startswith("seconds: "))
    return float(line.removeprefix("seconds: ")) / steps * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.store.stall", description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4_000)
    options = parser.parse_args()
    disk, slow = [], []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(options.turns):
            with serve(Faults(latency=0.3)) as store:
                disk.append(measure(f"{folder}/{turn}", options.steps, store))
                slow.append(measure("gs://bucket/run", options.steps, store))
                count = len(store.list_operations())
            print(
                f"disk {disk[-1]:.2f} ms, store {slow[-1]:.2f} ms, {count} operations", flush=True
            )
    ratio = statistics.median(slow) / statistics.median(disk)
    print(
        f"medians: {statistics.median(disk):.2f} and {statistics.median(slow):.2f} ms: {ratio:.3f}"
    )


if __name__ == "__main__":
    main()
