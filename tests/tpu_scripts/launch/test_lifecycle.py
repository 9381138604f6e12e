"""The queued resource's life against a cloud that refuses, preempts, half starts and is stopped."""

import pytest

pytestmark = pytest.mark.process
PERMISSION = (
    "PERMISSION_DENIED: Permission 'tpu.queuedResources.create' denied on resource; "
    "the caller does not have permission"
)
CAPACITY = 'There is no more capacity in the zone "us-west4-a"; you can try in another zone [8]'
FOUR_WORKERS = ("--topology=v5e:4x4",)


def test_success_follows_the_log_and_deletes(cloud, run):
    status, out, err = run("--config.seed=3")
    assert (status, err) == (0, "")
    assert "[train] run is ACTIVE" in out
    expected = (
        "experiments.train start 1 on run:0/0 with tpu,cpu: "
        "['--config=experiments/configs/tiny.py:shapes3d_rendered', "
        "'--workdir=gs://bucket/runs/run', '--config.seed=3']"
    )
    assert f"[train] {expected}" in out
    assert "[train] train ended well" in out
    assert cloud.verbs("create", "scp", "delete") == ["create", "scp", "delete"]
    assert cloud.machines == []
    assert out.count("experiments.train leaves with 0") == 1
    assert not list(cloud.root.parent.glob("run-*.tar.gz"))


def test_every_worker_of_every_slice_trains(cloud, run):
    assert run(*FOUR_WORKERS, "--slices=2")[0] == 0
    assert len(list(cloud.root.glob("starts-run:*"))) == 8


def test_capacity_refusal_is_retried(cloud, run):
    cloud.play(create=[CAPACITY, CAPACITY, None])
    status, out, _ = run()
    assert status == 0
    assert cloud.verbs("create") == ["create"] * 3
    assert "no capacity" in out
    assert "(2 of 3)" in out


def test_retries_are_bounded(cloud, run):
    cloud.play(create=[CAPACITY])
    status, _, err = run()
    assert status == 1
    assert err.startswith("error: gave up after 3 retries: run not created, no capacity")
    assert err.count("\n") == 1
    assert cloud.verbs("create") == ["create"] * 4


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (PERMISSION, "permission denied"),
        ("RESOURCE_EXHAUSTED: Quota limit 'TPUV5sLitepod' has been exceeded. Limit: 0", "quota"),
        ("INVALID_ARGUMENT: unknown accelerator type", "invalid request"),
        ("Accelerator v5litepod-1 was not found in zone us-west4-a", "invalid request"),
        ("NOT_FOUND: Location us-west4-a is not found", "check the project, the zone"),
    ],
)
def test_refusals_that_are_final(cloud, run, error, word):
    cloud.play(create=[error])
    status, _, err = run()
    assert status == 2
    assert err.startswith("error: cannot create 'run': ")
    assert word in err
    assert err.count("\n") == 1
    assert cloud.verbs("create") == ["create"]
    assert cloud.machines == []


def test_no_permission_to_look_makes_nothing(cloud, run):
    cloud.play(describe=PERMISSION)
    status, _, err = run()
    assert status == 2
    assert "permission denied" in err
    assert cloud.verbs() == ["describe"]


def test_a_name_that_is_taken_is_left_alone(cloud, run):
    (cloud.root / "machines/run/0-0").mkdir(parents=True)
    (cloud.root / "machines/run/number").write_text("1")
    status, _, err = run()
    assert status == 2
    assert "'run' exists already: choose another --name" in err
    assert cloud.verbs() == ["describe"]
    assert cloud.machines == ["run"]


@pytest.mark.parametrize("state", ["SUSPENDED", "FAILED"])
def test_lost_in_mid_run_is_made_again(cloud, run, state):
    cloud.play(train=[[60, 0], [0.2, 0]], lost=[state, None])
    status, out, _ = run("--provisioning=spot")
    assert status == 0
    assert f"run is {state}" in out
    assert cloud.verbs("create", "delete") == ["create", "delete", "create", "delete"]
    assert "start 2 on run:0/0" in out
    assert all("--spot" in call for call in cloud.calls if "create" in call)


def test_a_request_that_fails_for_good_is_not_repeated(cloud, run):
    cloud.play(states=[["FAILED"]], reason=PERMISSION)
    status, _, err = run()
    assert status == 2
    assert "permission denied" in err
    assert cloud.verbs("create", "delete") == ["create", "delete"]


def test_partial_start_is_mended(cloud, run):
    cloud.play(deaf=[["0/2"]], train=[[1, 0]])
    status, _, _ = run(*FOUR_WORKERS)
    assert status == 0
    assert (cloud.root / "starts-run:0-2").read_text() == "1"
    assert (cloud.root / "starts-run:0-0").read_text() == "1"


def test_workers_that_never_come_up_are_named(cloud, run):
    cloud.play(dead=[["0/1", "1/3"]])
    status, _, err = run(*FOUR_WORKERS, "--slices=2", "--worker_timeout=1")
    assert status == 1
    expected = "2 of 8 workers of run never came up in 1 s (slice/worker): 0/1, 1/3"
    assert err == f"error: {expected}\n"
    assert cloud.machines == []


def test_never_active_is_given_up(cloud, run):
    cloud.play(states=[["WAITING_FOR_RESOURCES"]])
    status, _, err = run("--provision_timeout=0.5")
    assert status == 1
    assert "still WAITING_FOR_RESOURCES after 0.5 s" in err
    assert cloud.machines == []


def test_a_mistake_found_on_the_workers_is_final(cloud, run):
    cloud.play(train=[[0.1, 2]])
    status, out, err = run(*FOUR_WORKERS)
    assert status == 2
    assert err == "error: train met a mistake on worker 0/0: see its error line above\n"
    assert out.count("experiments.train leaves with 2") > 1  # Every worker reports.
    assert cloud.verbs("create") == ["create"]


@pytest.mark.parametrize("code", [75, 143])
def test_a_stopped_job_is_started_again_in_place(cloud, run, code):
    cloud.play(train=[[0.1, code], [0.1, 0]])
    status, out, _ = run()
    assert status == 0
    assert f"--- worker 0/0: ended with exit code {code}" in out
    assert "train was stopped on worker 0/0; trying again" in out
    assert "start 2 on run:0/0" in out
    assert cloud.verbs("create") == ["create"]


@pytest.mark.parametrize("code", [1, 3, 137, 139])
def test_nothing_else_is_tried_again(cloud, run, code):
    cloud.play(train=[[0.1, code]])
    status, _, err = run()
    assert status == 1
    assert f"train failed on worker 0/0 with exit code {code}" in err
    assert (cloud.root / "starts-run:0-0").read_text() == "1"
    assert cloud.verbs("create") == ["create"]


@pytest.mark.parametrize(("code", "status"), [(1, 1), (2, 2)])
def test_any_worker_decides(cloud, run, code, status):
    cloud.play(train={"0/2": [[0.1, code]], "else": [[0.3, 134]]})
    got, out, err = run(*FOUR_WORKERS)
    assert got == status
    assert "on worker 0/2" in err
    assert "--- worker 0/0: ended with exit code 134" in out
    assert cloud.verbs("create") == ["create"]
    assert cloud.machines == []


def test_two_restarts_without_a_new_checkpoint_are_final(cloud, run):
    cloud.play(train=[[0.1, 143]], newest=[-1, 10, 10])
    status, _, err = run("--max_retries=9")
    assert status == 1
    assert "was stopped on worker 0/0, and 2 restarts made no new checkpoint" in err
    # One with a new checkpoint, and two without.
    assert (cloud.root / "starts-run:0-0").read_text() == "3"


def test_a_silent_job_is_started_again(cloud, run):
    cloud.play(train=[[60, 0], [0.1, 0]])
    status, out, _ = run("--silence_timeout=3", "--poll_seconds=0.3")
    assert status == 0
    assert "train printed nothing for 3 s; trying again" in out
    assert "--- worker 0/0: running" in out
    assert cloud.verbs("create") == ["create"]


@pytest.mark.parametrize(
    ("bucket", "status"),
    [([2, "gs://bucket/runs/run refuses"], 2), ([75, "gs://bucket/runs/run does not answer"], 75)],
)
def test_a_bucket_is_tried_before_training(cloud, run, bucket, status):
    cloud.play(bucket=bucket)
    got, _, err = run()
    assert got == status
    assert bucket[1] in err
    assert not list(cloud.root.glob("starts-*"))
    assert cloud.machines == []


def test_broken_connection_is_followed_again(cloud, run):
    cloud.play(train=[[1, 0]], cut=[2])
    status, out, _ = run()
    assert status == 0
    assert "lost the connection to run: following again" in out
    assert "broken off" not in out
    assert out.count("experiments.train start 1") == 1  # The log begins anew, but is told once.


def test_unreachable_worker_is_replaced(cloud, run):
    cloud.play(train=[[60, 0], [0.2, 0]], cut=[1000, 0])
    status, out, _ = run("--worker_timeout=5", "--poll_seconds=0.3")
    assert status == 0
    assert "its first worker is out of reach" in out
    assert cloud.verbs("create") == ["create"] * 2


def test_install_failure_tells_why(cloud, run):
    cloud.play(install="hashes do not match")
    status, _, err = run()
    assert status == 1
    assert "worker 0/0 could not install from its lock: hashes do not match" in err
    assert cloud.machines == []


def test_undeletable_machine_is_named_with_its_command(cloud, run):
    cloud.play(delete=["internal error"] * 5)
    status, out, _ = run()
    assert status == 0
    assert "may still cost money" in out
    assert "it deletes itself 1 h after its job" in out
    assert "gcloud compute tpus queued-resources delete run --project=my-project" in out


def test_a_deletion_that_fails_once_is_tried_again(cloud, run):
    cloud.play(delete=["internal error"])
    status, out, _ = run()
    assert status == 0
    assert "not deleted (ERROR: (gcloud.compute) internal error): trying again" in out
    assert cloud.machines == []


def test_keep_leaves_the_machine(cloud, run):
    assert run("--keep")[0] == 0
    assert cloud.machines == ["run"]


def test_attach_needs_a_machine(cloud, run):
    status, _, err = run("--attach")
    assert status == 2
    assert err == "error: there is no 'run' to go on with: drop --attach\n"
