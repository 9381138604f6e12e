"""A run on `gs://` from its first step to its table: killed in mid-save, resumed, scored."""

import time

import jax
import numpy as np
import pytest

from eval.records import load_records
from qlae.restore import open_run
from qlae.run_directory import list_steps
from tests import runs
from tests.store.faults import Faults

pytestmark = [pytest.mark.process, pytest.mark.slow]

RUN = "gs://bucket/runs/tiny"
SHORT = (
    f"--config={runs.TINY}",
    "--config.num_steps=30",
    "--config.checkpoint_every=15",
    "--config.eval.metrics=('infomec',)",
)


def start(store, module: str, *arguments: str):
    environment = [f"{name}={value}" for name, value in store.environment("worker").items()]
    return runs.start(module, *arguments, prefix=["env", *environment])


def kill_at_operation(store, kind: str, path: str, process) -> None:
    """Kills a process as soon as it has asked for an operation, answered or not."""
    deadline = time.monotonic() + 240
    try:
        while not store.list_operations(kind, path):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.communicate()


def final_params(workdir):
    return jax.device_get(open_run(workdir).load(30))


@pytest.fixture
def killed(store):
    """A store with a run that was killed when its last checkpoint lacked its marker alone."""
    marker = "runs/tiny/checkpoints/30/commit_success.txt"
    store.set_faults(Faults(hanging=1.0, hang_seconds=3_600, matching=f"write .*{marker}"))
    process = start(store, "experiments.train", *SHORT, f"--workdir={RUN}")
    kill_at_operation(store, "write", marker, process)
    store.set_faults(Faults())
    assert list_steps(RUN) == [15]
    return store


def test_a_run_killed_and_resumed_on_a_store_ends_as_on_a_disk(killed, tmp_path):
    processes = [
        start(killed, "experiments.train", *SHORT, f"--workdir={RUN}"),
        runs.start("experiments.train", *SHORT, f"--workdir={tmp_path / 'run'}"),
    ]
    for process, first_step in zip(processes, (15, 0), strict=True):
        code, _, errors = runs.finish(process)
        assert code == 0, errors
        assert f"from step {first_step}" in errors
    assert list_steps(RUN) == [15, 30]
    local, remote = final_params(tmp_path / "run"), final_params(RUN)
    assert jax.tree.structure(local) == jax.tree.structure(remote)
    jax.tree.map(np.testing.assert_array_equal, local, remote)

    code, output, errors = runs.finish(start(killed, "eval.worker", f"--workdir={RUN}", "--once"))
    assert code == 0, errors
    assert output.count("infom ") == 2
    assert [record.step for record in load_records(RUN)] == [15, 30]
    names = set(killed.objects.in_bucket("bucket"))
    assert "runs/tiny/eval/heldout/step_000000030/traversals.png" in names

    code, output, errors = runs.finish(start(killed, "eval.results", "gs://bucket"))
    assert code == 0, errors
    assert "step 30" in output
    assert "qlae" in output
