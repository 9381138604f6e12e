"""A run on a store that is slow, fails and hangs, beside one on a disk."""

from pathlib import Path

from tests import runs
from tests.faults.checks import count_twice, count_wrong
from tests.faults.outcome import Outcome
from tests.store.faults import Faults
from tests.store.server import serve

BAD = Faults(latency=0.3, failing=0.02, hanging=0.02, hang_seconds=20.0)
OVERRIDES = ("--config.num_steps=200", "--config.checkpoint_every=50")


def train_on_a_bad_store(folder: Path, faults: Faults = BAD) -> Outcome:
    """Trains on a store with faults, each of them a try, and compares with a run on a disk."""
    outcome = Outcome("a store: 300 ms an operation, 2% fail, 1 in 50 hangs for 20 s")
    undisturbed, copy = folder / "on_a_disk", folder / "copied"
    code, _, errors = runs.train_process(undisturbed, *OVERRIDES)
    assert code == 0, errors
    with serve(faults) as server:
        environment = [f"{name}={value}" for name, value in server.environment().items()]
        arguments = (f"--config={runs.TINY}", "--workdir=gs://bucket/run", *OVERRIDES)
        process = runs.start("experiments.train", *arguments, prefix=["env", *environment])
        code, _, errors = runs.finish(process, timeout=900)
        assert code == 0, errors
        operations = server.list_operations()
        for name, item in server.objects.in_bucket("bucket").items():
            if not name.endswith("/"):
                path = copy / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(item.data)
    outcome.tried = sum(operation.status == 503 for operation in operations)
    outcome.wrong_bits = count_wrong(copy / "run", undisturbed)
    outcome.duplicates = count_twice(copy / "run")
    return outcome
