"""The accelerator's day at toy scale: calls that resume each other, and what they leave."""

import pytest

from eval.records import load_records
from experiments import accelerator_day
from experiments.accelerator_day import Call, OutOfTime
from tests import runs

TOY = [
    "--config=tests/configs/tiny.py:{arm}",
    "--seeds=0",
    "--overrides",
    "num_steps=10",
    "checkpoint_every=10",
]


@pytest.mark.slow
@pytest.mark.process
def test_a_day_in_two_calls(tmp_path):
    where = [f"--root={tmp_path}/runs", f"--out={tmp_path}/out"]
    where += [f"--bench=python -c \"open('{tmp_path}/bench', 'a')\"", *TOY]
    code, _, errors = runs.run_process("experiments.accelerator_day", *where, "--minutes=1")
    assert (code, errors) == (75, "0 of 4 runs are trained: the same command goes on\n")
    assert not (tmp_path / "bench").exists()
    code, _, errors = runs.run_process("experiments.accelerator_day", *where, timeout=900)
    assert code == 0, errors
    check(tmp_path / "out", ("qlae", "ae", "beta_vae", "qlinfo_wgan_gp"))
    assert (tmp_path / "bench").exists()


@pytest.mark.heavy
def test_what_is_done_is_not_begun_again(tmp_path, monkeypatch):
    monkeypatch.setattr(accelerator_day, "_AUTOENCODERS", ("qlae",))
    monkeypatch.setattr(accelerator_day, "_GAN", "ae")
    monkeypatch.setattr(Call, "run", lambda self, command: begin(command))
    begun = []

    def begin(command):
        begun.append(command[2])
        return runs.run(*command[2:])[0] == 0

    arguments = [f"--root={tmp_path}/runs", f"--out={tmp_path}/out", "--bench=", *TOY]
    assert runs.run("experiments.accelerator_day", *arguments)[0] == 0
    assert begun == ["experiments.train", "eval.worker"] * 2
    check(tmp_path / "out", ("qlae", "ae"))
    begun.clear()
    assert runs.run("experiments.accelerator_day", *arguments)[0] == 0
    assert not begun


def check(out, arms):
    """Looks whether the folder to commit has all, and no more."""
    for arm in arms:
        assert [record.step for record in load_records(out / arm / "seed_0")] == [10]
        assert f"| `{arm}` |" in (out / "table.md").read_text()
    assert {path.name for path in (out / "figures").iterdir()} >= {"scores.png", "nmi.png"}
    assert not list(out.rglob("checkpoints"))


def test_a_command_that_does_not_end_is_stopped_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(accelerator_day, "_CLOSING_SECONDS", 0.0)
    code = "trap 'echo stopped > {0}/stopped; exit 143' TERM; touch {0}/began; while :; do :; done"
    call = Call(minutes=1 / 60)
    with pytest.raises(OutOfTime):
        call.run(["bash", "-c", code.format(tmp_path)])
    assert (tmp_path / "stopped").exists()
    with pytest.raises(OutOfTime):
        call.run(["true"])


def test_a_run_that_fails_does_not_stop_the_others():
    call = Call(minutes=10)
    assert not call.run(["false"])
    assert call.run(["true"])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config=tests/configs/tiny.py:qlae", "has no {arm}"),
        ("--root=gs://bucket/runs", "directories of this machine"),
        ("--overrides=num_step=3", "num_steps"),
        ("--bench=python -c 1/0", "has failed"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, argument, message):
    arguments = [f"--root={tmp_path}/runs", f"--out={tmp_path}/out", TOY[0], argument]
    code, _, errors = runs.run("experiments.accelerator_day", *arguments)
    assert code == 2
    assert message in errors
    assert not list(tmp_path.iterdir())
