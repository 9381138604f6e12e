"""Mistakes are caught before anything is made; a dry run prints what a run would do."""

import pathlib
import shlex

import pytest

from qlae.common.errors import RunFailed
from tpu_scripts.launch import command, evaluate_beside
from tpu_scripts.launch.faults import Backoff

pytestmark = pytest.mark.process
OWN_END = pathlib.Path(command.__file__).with_name("own_end.sh")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--topology=v5e:16x15"], "unknown topology 'v5e:16x15': did you mean 'v5e:16x16'"),
        (["--project="], "no project: pass --project=ID"),
        (["--zone="], "no zone: pass --zone=us-west4-a"),
        (["--project=My Project"], "is not a project id"),
        (["--zone=us-west4"], "--zone='us-west4' is not a zone"),
        (["--name=My_Run"], "--name='My_Run' is not a valid name"),
        (["--name=" + "a" * 36], "is not a valid name"),  # Its evaluator's would be too long.
        (["--config=experiments/configs/tinny.py:shapes3d"], "did you mean 'experiments/configs/t"),
        (["--config=experiments/configs/tiny.py:shape"], "unknown dataset 'shape'"),
        (["--config=experiments/configs/tiny.py:shapes3d"], "pass --config.data.data_dir=gs://"),
        (["--dry_run", "--config.num_steps=-5"], "num_steps=-5: expected a whole number of at"),
        (["--config.batch_size=0"], "expected a whole number of at least 1"),
        (["--config=../tiny.py:shapes3d"], "must be relative to the source directory"),
        (["--config.batchsize=3"], "unknown config key 'batchsize': did you mean 'batch_size'?"),
        (["--config.batch_size=many"], "invalid literal for int()"),
        (["--topology=v5e:16x16"], "batch_size=128 does not divide by 256 devices"),
        (["--config.batch_size=5", "--topology=v5e:2x2"], "batch_size=5 does not divide by 4"),
        (["--workdir=/tmp/run", "--topology=v5e:4x4"], "a local path, but 4 hosts must share it"),
        (["--workdir=/tmp/run"], "a machine that is deleted at the end"),
        (["--workdir=/tmp/run", "--keep", "--evaluator=vm"], "evaluator on its own machine cannot"),
        (["--workdir=gs://"], "is not a path such as gs://bucket"),
        (["--evaluator=v5e:4x4"], "has 4 workers, but evaluation needs one"),
        (["--evaluator=vmm"], "unknown topology 'vmm'"),
        (["--slices=0"], "argument --slices"),
        (["--poll_seconds=-1"], "argument --poll_seconds"),
        (["--provisioning=sport"], "invalid choice: 'sport'"),
        (["--frobnicate=1"], "unknown flag '--frobnicate=1'"),
        (["--config.seed", "3"], "unknown flag '--config.seed'"),
        (["--commit=nowhere"], "--commit='nowhere' is not a commit"),
        (["--cluster=c"], "--cluster is for --engine=xpk only"),
        (["--engine=xpk"], "--engine=xpk needs --cluster=NAME"),
        (["--engine=xpk", "--cluster=C"], "--cluster='C' is not a valid name"),
        (["--engine=xpk", "--cluster=c", "--topology=v5e:2x2"], "too small for XPK"),
        (["--engine=xpk", "--cluster=c", "--provisioning=spot"], "the cluster's matter"),
        (
            ["--engine=xpk", "--cluster=c", "--docker_image=a", "--base_docker_image=b"],
            "not both",
        ),
    ],
)
def test_mistakes_make_nothing(cloud, run, more, words):
    status, out, err = run(*more)
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert words in err
    assert err.count("\n") == 1
    assert cloud.calls == []


def test_uncommitted_changes_are_not_left_behind_silently(cloud, run, project):
    (project / "experiments/configs/new.py").write_text("")
    status, _, err = run()
    assert status == 2
    assert "1 uncommitted changes (such as experiments/configs/new.py)" in err
    status, _, err = run("--config=experiments/configs/new.py:shapes3d_rendered", "--allow_dirty")
    assert status == 2
    new = (project / "experiments/configs/tiny.py").read_text()
    (project / "experiments/configs/new.py").write_text(new)
    status, _, err = run("--config=experiments/configs/new.py:shapes3d_rendered", "--allow_dirty")
    assert status == 2
    assert "experiments/configs/new.py is not in commit" in err
    assert cloud.calls == []


def test_missing_program_is_named(cloud, run, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    status, _, err = run()
    assert status == 2
    assert err == "error: gcloud is not on PATH: install it first\n"


def test_a_key_that_no_agent_holds_makes_nothing(cloud, run, tmp_path):
    (tmp_path / "home/.ssh").mkdir(parents=True)
    key = tmp_path / "home/.ssh/google_compute_engine"
    key.write_text("open")
    assert run("--dry_run")[0] == 0
    key.write_text("locked")
    status, _, err = run()
    assert status == 2
    assert "has a passphrase, and no agent holds it: run `ssh-add" in err
    assert cloud.calls == []


def test_root_is_told_to_name_a_user(cloud, run, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "root")
    status, _, err = run("--ssh_user=")
    assert status == 2
    assert "pass --ssh_user=NAME" in err
    assert cloud.calls == []


def test_a_population_divides_the_chips_first(cloud, run):
    seeds = "--config.population.seeds=64"
    assert run("--topology=v5e:16x16", seeds, "--dry_run")[0] == 0
    status, _, err = run("--topology=v5e:4x4", seeds, "--config.mesh.population=3")
    assert status == 2
    assert "a mesh of 3 x 5 (population x data) needs 15 devices, but there are 16" in err


def test_dry_run_prints_the_exact_commands(cloud, run):
    status, out, err = run(
        *("--dry_run", "--topology=v5litepod-16", "--slices=2", "--provisioning=reserved"),
        *("--evaluator=vm:n2-standard-4", "--ssh_road=iap", "--keep", "--internal_ips"),
        *("--network=lab", "--subnetwork=lab-west", "--create_flag=--tags=lab"),
    )
    assert (status, err) == (0, "")
    assert cloud.calls == []
    assert (
        "gcloud compute tpus queued-resources create run --project=my-project --zone=us-west4-a "
        "--quiet --node-count=2 --node-prefix=run --accelerator-type=v5litepod-16 "
        "--runtime-version=v2-alpha-tpuv5-lite "
        "--scopes=https://www.googleapis.com/auth/cloud-platform --reserved --network=lab "
        "--subnetwork=lab-west --internal-ips --valid-until-duration=600s "
        "--labels=made-by=qlae-launch --metadata=launch-resource=projects/my-project/locations/"
        "us-west4-a/queuedResources/run,launch-setup-seconds=7200 "
        f"--metadata-from-file=startup-script={OWN_END} --tags=lab\n" in out
    )
    assert "gcloud compute instances create run-eval --project=my-project" in out
    assert "--machine-type=n2-standard-4" in out
    assert "--instance-termination-action=DELETE" in out
    assert "wait until worker 0/0 answers, likewise on 7 more (1/3 the last)" in out
    assert "gcloud alpha compute tpus tpu-vm ssh tester@run-0 --project=my-project" in out
    assert "delete" not in out
    assert "JAX_PLATFORMS=cpu" in out
    ssh = [line for line in out.splitlines() if line.startswith("gcloud") and " ssh " in line]
    assert all("--tunnel-through-iap" in line for line in ssh)


def test_dry_run_is_what_a_run_does(cloud, run):
    _, printed, _ = run("--dry_run")
    status, _, _ = run()
    assert status == 0
    done = [shlex.join(call) for call in cloud.calls]
    for call in dict.fromkeys(done):
        assert call in printed


def test_evaluator_runs_beside_and_is_deleted(cloud, run):
    status, out, _ = run("--evaluator=vm")
    assert status == 0
    assert "[evaluate] eval.worker start 1 on run-eval:0/0 with cpu: ['--workdir=gs://bu" in out
    assert "'--wait=3600'" in out
    assert "[evaluate] evaluate ended well" in out
    assert cloud.machines == []
    made = [call for call in cloud.calls if "create" in call]
    assert [call[2] for call in made] == ["tpus", "instances"]


def test_training_does_not_depend_on_the_evaluator(cloud, run):
    cloud.play(evaluate=[0.1, 1], train=[[1.0, 0]])
    status, out, _ = run("--evaluator=v5e:1x1")
    assert status == 0
    assert "warning: the evaluator ended, training goes on: evaluate failed on worker 0/0" in out
    assert "[train] train ended well" in out
    assert cloud.machines == []


def test_slow_evaluator_is_stopped_in_the_end(cloud, run):
    cloud.play(evaluate=[60, 0])
    status, out, _ = run("--evaluator=vm", "--evaluator_timeout=0.5")
    assert status == 0
    assert "up to 0.5 s more" in out
    assert cloud.machines == []


def test_failed_training_ends_the_evaluator(cloud, run):
    cloud.play(train=[[0.1, 1]], evaluate=[60, 0])
    status, _, _ = run("--evaluator=vm")
    assert status == 1
    assert cloud.machines == []


def test_evaluate_beside_alone(cloud, project, flags, capsys):
    kept = [flag for flag in flags if not flag.startswith(("--topology", "--config"))]
    assert evaluate_beside.main([*kept, "--workdir=gs://bucket/runs/other"]) == 0
    out = capsys.readouterr().out
    expected = "'--workdir=gs://bucket/runs/run', '--workdir=gs://bucket/runs/other'"
    assert f"eval.worker start 1 on run-eval:0/0 with cpu: [{expected}" in out
    assert cloud.machines == []
    assert evaluate_beside.main([*kept, "--workdir=/tmp/run"]) == 2
    assert "evaluator on its own machine cannot" in capsys.readouterr().err
    assert evaluate_beside.main([*kept, "--dry_run", "--machine=v6e:1x1"]) == 0
    assert "--accelerator-type=v6e-1" in capsys.readouterr().out


def test_backoff_doubles_to_its_limit_and_ends():
    backoff = Backoff(first_seconds=1, limit_seconds=5, tries=5)
    assert [backoff.next("x") for _ in range(4)] == [1, 2, 4, 5]
    backoff.succeeded()
    assert backoff.next("x") == 1
    with pytest.raises(RunFailed, match="gave up after 5 retries: x"):
        backoff.next("x")
