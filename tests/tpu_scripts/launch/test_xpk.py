"""The GKE path against a fake xpk and kubectl."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.process
XPK = ("--engine=xpk", "--cluster=pool", "--topology=v5e:4x4")


def test_success_follows_the_workload(cloud, run):
    cloud.play(log=["step 1", "step 2", "EXIT_CODE=0"])
    code, out, err = run(*XPK, "--slices=2", "--config.seed=3")
    assert (code, err) == (0, "")
    assert out.count("[train] step 1\n") == 1  # Told once, though the log was read twice.
    assert "[train] train ended well" in out
    create = next(call for call in cloud.calls if "create" in call)
    assert create[:4] == ["xpk", "workload", "create", "--workload=run"]
    assert {"--cluster=pool", "--project=my-project", "--zone=us-west4-a"} <= set(create)
    assert {"--tpu-type=v5litepod-16", "--num-slices=2", "--max-restarts=3"} <= set(create)
    assert "--base-docker-image=python:3.11" in create
    assert "--restart-on-exit-codes=75" in create
    assert create[-1] == (
        "--command=pip install --quiet --no-deps --require-hashes -r requirements/tpu.lock && "
        "exec env JAX_PLATFORMS=tpu,cpu python -m experiments.train "
        "--config=experiments/configs/tiny.py:shapes3d_rendered --workdir=gs://bucket/runs/run "
        "--config.seed=3"
    )
    assert "delete" not in cloud.verbs()
    assert not list(cloud.root.parent.glob("run-*"))


def test_ready_image_needs_no_installation(cloud, run):
    code, out, _ = run(*XPK, "--docker_image=example/qlae:1", "--dry_run")
    assert code == 0
    assert "--docker-image=example/qlae:1" in out
    assert "--script-dir" not in out
    assert "pip install" not in out
    assert cloud.calls == []


def test_a_restarted_pod_tells_a_new_log(cloud, run):
    cloud.play(log=["[pod/a/x] step 1", "[pod/b/x] step 1", "[pod/b/x] EXIT_CODE=0"])
    code, out, _ = run(*XPK)
    assert code == 0
    assert out.count("[train] step 1\n") == 2


def test_permission_denied_is_final(cloud, run):
    cloud.play(kubectl='User "me" cannot get resource "jobsets"')
    code, _, err = run(*XPK)
    assert code == 2
    assert "permission denied" in err
    assert cloud.verbs("create") == []


def test_a_name_that_is_taken_is_left_alone(cloud, run):
    cloud.play(workloads=["run"])
    code, _, err = run(*XPK)
    assert code == 2
    assert "'run' exists already" in err
    assert cloud.verbs("create", "delete") == []


def test_only_the_exact_name_counts(cloud, run):
    cloud.play(workloads=["run-2", "my-run"])
    assert run(*XPK)[0] == 0
    assert all(call[5] == "run" for call in cloud.calls if "jobset" in call)


def test_refused_workload_is_final(cloud, run):
    cloud.play(xpk_create="v5litepod-16 is not available in cluster pool")
    code, _, err = run(*XPK)
    assert code == 1
    assert "is not available in cluster pool" in err
    assert cloud.verbs("create") == ["create"]


@pytest.mark.parametrize(
    ("codes", "code", "words"),
    [
        ([134, 2], 2, "train met a mistake on run-slice-job-0-1-x"),
        ([1, 134], 1, "exit codes run-slice-job-0-0-x: 1, run-slice-job-0-1-x: 134"),
        ([75, 75], 75, "storage that does not answer"),
    ],
)
def test_every_pod_counts(cloud, run, codes, code, words):
    cloud.play(end="Failed", codes=codes, log=["error: something", "EXIT_CODE=134"])
    got, _, err = run(*XPK)
    assert got == code
    assert words in err


def test_a_cluster_out_of_sight_is_waited_for(cloud, run):
    cloud.play(away=3)
    code, out, _ = run(*XPK)
    assert code == 0
    assert "no sight of run: Unable to connect to the server" in out


def test_attach_follows_what_is_there(cloud, run):
    assert run(*XPK, "--attach")[0] == 2
    (cloud.root / "jobset-run").write_text("0")
    code, out, _ = run(*XPK, "--attach")
    assert code == 0
    assert "[train] train ended well" in out
    assert cloud.verbs("create") == []


def test_evaluator_as_its_own_workload(cloud, run):
    code, out, _ = run(*XPK, "--topology=v6e:4x4", "--evaluator=v6e:1x1")
    assert code == 0
    made = [call for call in cloud.calls if "create" in call]
    assert [call[3] for call in made] == ["--workload=run", "--workload=run-eval"]
    assert "--tpu-type=v6e-1" in made[1]
    assert "[evaluate] evaluate ended well" in out


def test_interrupt_deletes_the_workload(cloud, project, flags):
    cloud.play(end_seconds=60)
    root = pathlib.Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-m", "tpu_scripts.launch", *flags, *XPK],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "step 1" in line:
            break
    process.send_signal(signal.SIGINT)
    assert "deleting workload run" in process.stdout.read()
    assert process.wait(timeout=60) == 130
    assert cloud.verbs("create", "delete") == ["create", "delete"]


def test_pods_that_never_come_up_are_named(cloud, run):
    cloud.play(end_seconds=60, pending=["run-slice-job-0-3-x", "run-slice-job-1-0-y"])
    code, _, err = run(*XPK, "--provision_timeout=0.3")
    assert code == 1
    assert err == (
        "error: workload run did not start in 0.3 s; pods that never came up: "
        "run-slice-job-0-3-x, run-slice-job-1-0-y\n"
    )
    assert cloud.verbs("create", "delete") == ["create", "delete"]
