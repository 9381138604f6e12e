"""The trainer as a user runs it: to the end, killed, asked to stop, and given mistakes."""

import json
import random
import shutil
import signal
import time

import jax
import numpy as np
import pytest

from qlae.restore import open_run
from qlae.run_directory import RunDirectory, list_steps
from tests import runs

pytestmark = pytest.mark.process

LONG = ("--config.num_steps=300", "--config.checkpoint_every=20")


def final_params(workdir):
    run = open_run(workdir)
    return jax.device_get(run.load(run.config.num_steps))


def assert_same(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An uninterrupted run of the long tiny config."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    code, _, errors = runs.train_process(workdir, *LONG)
    assert code == 0, errors
    assert "300/300" in errors
    return workdir


def test_a_run_leaves_its_config_progress_logs_and_checkpoints(finished):
    assert list_steps(finished) == list(range(20, 301, 20))
    run = RunDirectory(finished)
    assert run.is_complete
    assert run.load_config().model.name == "qlae"
    assert run.load_progress()["step"] == 300
    assert json.loads((finished / "config.json").read_text())["versions"]["jax"]
    assert list((finished / "logs" / "train").glob("events*"))


def test_run_again_it_says_that_it_is_complete(finished):
    code, output, _ = runs.train(finished, *LONG)
    assert code == 0
    assert "is complete" in output


def test_killed_at_random_moments_it_ends_bit_for_bit_the_same(finished, tmp_path):
    rng = random.Random(0)
    workdir = tmp_path / "run"
    for kill in range(5):
        process = runs.start(
            "experiments.train", f"--config={runs.TINY}", f"--workdir={workdir}", *LONG
        )
        # The first before there is any checkpoint, the others soon after a new one.
        wanted = (workdir / "checkpoints").exists if kill == 0 else list_steps
        before = wanted() if kill == 0 else wanted(workdir)
        deadline = time.monotonic() + 120
        while (wanted() if kill == 0 else wanted(workdir)) == before and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL or kill >= 3, "it ended before it was killed"
        if RunDirectory(workdir).is_complete:
            break
    assert kill >= 2
    code, _, errors = runs.train_process(workdir, *LONG)
    assert code == 0, errors
    assert_same(final_params(finished), final_params(workdir))


def test_killed_while_claiming_its_directory_it_starts_again(tmp_path):
    workdir = tmp_path / "run"
    workdir.mkdir()
    (workdir / ".config.json.0123").write_text('{"config": {"mod')
    assert runs.train(workdir, "--config.num_steps=2")[0] == 0


def test_asked_to_stop_it_saves_and_resumes_from_there(finished, tmp_path):
    workdir = tmp_path / "run"
    process = runs.start(
        "experiments.train", f"--config={runs.TINY}", f"--workdir={workdir}", *LONG
    )
    while not list_steps(workdir) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    code, output, errors = runs.finish(process)
    assert code == 143, errors
    assert "stopped at step" in output
    assert "saving and stopping after this step" in errors
    assert runs.train_process(workdir, *LONG)[0] == 0
    assert_same(final_params(finished), final_params(workdir))


def test_asked_twice_it_stops_at_once_without_a_traceback(tmp_path):
    workdir = tmp_path / "run"
    endless = ("--config.num_steps=1_000_000", "--config.checkpoint_every=1_000_000")
    process = runs.start(
        "experiments.train", f"--config={runs.TINY}", f"--workdir={workdir}", *endless
    )
    while not (workdir / "progress.json").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)  # so that it meets both together
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    code, _, errors = runs.finish(process)
    assert code in (-signal.SIGTERM, 130, 143), errors
    assert "Traceback" not in errors


def test_help_shows_what_it_does_and_its_flags():
    code, output, _ = runs.run_process("experiments.train", "--help")
    assert code == 0
    for flag in ("--config", "--workdir", "--list", "--coordinator_address"):
        assert flag in output


def test_another_config_never_trains_over_a_run(finished):
    code, _, errors = runs.train(finished, *LONG, "--config.optimizer.weight_decay=0.7")
    assert code == 2
    assert "holds a run of another config: optimizer.weight_decay is" in errors
    assert_one_line(errors)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(tmp_path):
    """Updates of 1e30 overflow within steps; what was saved before is kept, and is finite."""
    workdir = tmp_path / "run"
    good = ("--config.num_steps=20", "--config.checkpoint_every=2")
    assert runs.train(workdir, *good)[0] == 0
    config = json.loads((workdir / "config.json").read_text())
    config["config"]["optimizer"]["learning_rate"] = 1e30
    (workdir / "config.json").write_text(json.dumps(config))
    for step in list_steps(workdir)[3:]:
        shutil.rmtree(workdir / "checkpoints" / str(step))
    code, _, errors = runs.train(workdir, *good, "--config.optimizer.learning_rate=1e30")
    assert code == 1
    assert_one_line(errors)
    assert "the run has diverged" in errors
    assert "diverged" in RunDirectory(workdir).failure
    assert list_steps(workdir)[:3] == [2, 4, 6]
    for step in list_steps(workdir):
        leaves = jax.tree.leaves(jax.device_get(open_run(workdir).load(step)))
        assert all(np.isfinite(leaf).all() for leaf in leaves)


def test_a_full_disk_is_one_line_and_the_run_resumes(finished, tmp_path):
    workdir = tmp_path / "run"
    no_large_files = ("sh", "-c", 'ulimit -f 16; exec "$@"', "sh")
    code, _, errors = runs.train_process(workdir, *LONG, prefix=no_large_files)
    assert code == 75
    assert "cannot save a checkpoint" in errors
    assert_one_line(errors)
    assert runs.train_process(workdir, *LONG)[0] == 0
    assert_same(final_params(finished), final_params(workdir))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config=tests/configs/tiny.py", "--config.num_step=3"], "did you mean 'num_steps'"),
        (["--config=experiments/configs/qlae.py:shapes3"], "did you mean 'shapes3d'"),
        (["--config=experiments/configs/qlea.py"], "no config file"),
        (["--config=tests/configs/tiny.py", "--config.data.name=shapes3d_renderd"], "did you mean"),
        (["--config=tests/configs/tiny.py", "--config.num_steps=many"], "num_steps"),
        (
            ["--config=tests/configs/tiny.py", "--config.num_steps=0"],
            "expected a whole number of at least 1",
        ),
        (["--config=tests/configs/tiny.py", "--config.data.image_size=10"], "do not divide by 4"),
        (["--config=tests/configs/tiny.py", "--config.mesh.population=0"], "must be at least 1"),
        (["--config=tests/configs/tiny.py", '--config.eval.metrics=("infomek",)'], "did you mean"),
        (["--config=tests/configs/tiny.py", "--config.batch_size=12"], "does not divide by 8"),
        (["--config=tests/configs/tiny.py", "--config.model.encoder.kernel_sizes=(50,50)"], "fit"),
        (["--config=tests/configs/tiny.py", "--config.compute_dtype=float64"], "compute_dtype"),
        (["--config=tests/configs/tiny.py", "--config.seed=4294967296"], "from 0 to 4294967295"),
        (["--config=tests/configs/tiny.py", "--config.data.cache=disc"], "cache must be one of"),
        (["--config=tests/configs/tiny.py", "--confg.seed=1"], "confg.seed"),
        (["--config=tests/configs/tiny.py", "extra"], "unknown argument 'extra'"),
        ([], "--config=FILE.py"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, arguments, message):
    workdir = tmp_path / "run"
    code, _, errors = runs.run("experiments.train", f"--workdir={workdir}", *arguments, devices=8)
    assert code == 2
    assert message in errors
    assert_one_line(errors)
    assert not workdir.exists()


@pytest.mark.parametrize("kind", ["a file in its place", "someone else's files"])
def test_a_directory_that_is_not_a_runs_is_left_alone(tmp_path, kind):
    workdir = tmp_path / "run"
    if kind == "a file in its place":
        workdir.write_text("mine")
        precious = workdir
    else:
        workdir.mkdir()
        precious = workdir / "notes.txt"
        precious.write_text("mine")
    code, _, errors = runs.train(workdir)
    assert code == 2
    assert_one_line(errors)
    assert str(workdir) in errors
    assert precious.read_text() == "mine"


def assert_one_line(errors):
    lines = [line for line in errors.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, errors
    assert "Traceback" not in errors


def test_a_profile_is_written_on_request(tmp_path):
    code, _, errors = runs.train(tmp_path / "run", "--config.profile.steps=(3, 5)")
    assert code == 0, errors
    assert list((tmp_path / "run" / "profile").rglob("*.xplane.pb"))


def test_a_gan_resumed_between_two_generator_steps_ends_bit_for_bit_the_same(tmp_path):
    arguments = ("--config.num_steps=12", "--config.checkpoint_every=4")
    config = f"{runs.TINY}:qlinfo_wgan_gp"
    code, _, errors = runs.train(tmp_path / "alone", *arguments, config=config)
    assert code == 0, errors
    shutil.copytree(tmp_path / "alone", tmp_path / "resumed")
    for step in ("8", "12"):
        shutil.rmtree(tmp_path / "resumed" / "checkpoints" / step)
    assert runs.train(tmp_path / "resumed", *arguments, config=config)[0] == 0
    assert_same(final_params(tmp_path / "alone"), final_params(tmp_path / "resumed"))
