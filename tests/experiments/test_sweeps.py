"""Sweeps: a table of runs with stable names, skipped when finished, resumed when not."""

import json
import re

import pytest

from eval.records import load_records
from qlae.run_directory import list_steps
from tests import runs

pytestmark = pytest.mark.process

CONFIG = "--config=tests/configs/tiny.py:{arm}"


def test_dry_run_lists_every_cell_of_the_papers_table():
    code, output, _ = runs.run("experiments.sweeps", "--root=runs/none", "--dry_run")
    assert code == 0
    lines = output.splitlines()
    assert len(lines) == len(set(lines)) == 12 * 4 * 7
    assert all(line.startswith("new") for line in lines)
    assert "--workdir=runs/none/shapes3d/qlae/seed_3 --config.seed=3" in output


def test_a_sweep_skips_what_is_finished_and_scores_every_run(tmp_path):
    arguments = (f"--root={tmp_path}", CONFIG, "--arms=ae,info_wgan_gp", "--seeds=0")
    overrides = ("--overrides", "num_steps=20;checkpoint_every=20")
    code, output, errors = runs.run_process("experiments.sweeps", *arguments, *overrides)
    assert code == 0, errors
    workdirs = sorted(path.parent for path in tmp_path.rglob("config.json"))
    names = [str(path.relative_to(tmp_path)) for path in workdirs]
    assert names == [
        f"{arm}/num_steps_20_checkpoint_every_20/seed_0" for arm in ("ae", "info_wgan_gp")
    ]
    for workdir in workdirs:
        assert [record.step for record in load_records(workdir)] == [20]
    # A GAN also shows samples from its prior.
    assert (workdirs[1] / "eval/heldout/step_000000020/samples.png").exists()
    assert output.count(": new") == 2
    code, output, _ = runs.run_process("experiments.sweeps", *arguments, *overrides)
    assert code == 0
    assert output.count(": complete") == 2


def test_a_launcher_is_given_what_the_trainer_would_be(tmp_path):
    launcher = tmp_path / "launcher.py"
    launcher.write_text("import json, sys; print(json.dumps(sys.argv[1:]))")
    code, output, _ = runs.run_process(
        "experiments.sweeps", f"--root={tmp_path}/runs", "--arms=qlae", "--datasets=shapes3d",
        "--seeds=0",
        f"--launcher=python3 {launcher} --topology=v5e:4x4",
    )  # fmt: skip
    assert code == 0
    topology, name, *arguments = json.loads(output)
    assert topology == "--topology=v5e:4x4"
    assert re.fullmatch(r"--name=[a-z0-9-]+-runs-shapes3d-qlae-seed-0", name)
    assert arguments == [
        "--config=experiments/configs/qlae.py:shapes3d",
        f"--workdir={tmp_path}/runs/shapes3d/qlae/seed_0",
        "--config.seed=0",
    ]


def test_a_failed_run_does_not_stop_the_sweep_but_is_reported(tmp_path):
    code, _, errors = runs.run_process(
        "experiments.sweeps", f"--root={tmp_path}", CONFIG, "--arms=ae", "--seeds=0", "--overrides",
        "num_steps=20;optimizer.learning_rate=1e30", "num_steps=10",
    )  # fmt: skip
    assert code == 1
    assert errors.count("failed: ") == 1
    assert list_steps(tmp_path / "ae" / "num_steps_10" / "seed_0") == [10]


def test_a_population_is_as_far_as_its_members(tmp_path):
    arguments = (f"--root={tmp_path}", CONFIG, "--arms=ae", "--seeds=0", "--dry_run")
    short = "population.seeds=2;num_steps=2"
    root = tmp_path / "ae/population.seeds_2_num_steps_2/seed_0"

    def find_state():
        code, output, errors = runs.run("experiments.sweeps", *arguments, "--overrides", short)
        assert code == 0, errors
        return output.split()[0]

    assert find_state() == "new"
    overrides = [f"--config.{override}" for override in short.split(";")]
    code, _, errors = runs.train(root, *overrides, config="tests/configs/tiny.py:ae")
    assert code == 0, errors
    assert find_state() == "complete"
    (root / "seed_1/checkpoints/2/commit_success.txt").unlink()
    assert find_state() == "interrupted"
    (root / "seed_1/FAILED").write_text("loss/total is nan at step 2\n")
    assert find_state() == "failed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arms=qlea"], "unknown arm 'qlea'"),
        (["--datasets=shapes"], "did you mean"),
        (["--config=nowhere/{arm}.py"], "no config file"),
        (["--config=tests/configs/tiny.py:{model}"], "in braces stand only {arm} and {dataset}"),
        (["--config=tests/configs/tiny.py:{"], "in braces stand only"),
        (["--config=tests/configs/tiny.py", "--arms=qlae,ae"], "has no {arm}"),
        (["--seeds=5-2"], "from a first seed to at most"),
        (["--seeds=0-999999999"], "from a first seed to at most"),
        (["--seeds="], "must list at least one, and none twice"),
        (["--arms="], "must list at least one, and none twice"),
        (["--arms=qlae,qlae"], "must list at least one, and none twice"),
        (["--seeds=1,1"], "must list at least one, and none twice"),
        (["--overrides", "seed=5"], "seeds are given by --seeds"),
        (["--overrides", "optimizer.learning_rate=-1"], "expected a finite number above 0"),
        (["--overrides", "optimiser.b1=1"], "did you mean"),
    ],
)
def test_mistakes_are_one_line(tmp_path, arguments, message):
    code, _, errors = runs.run("experiments.sweeps", f"--root={tmp_path}", "--dry_run", *arguments)
    assert code == 2
    assert message in errors
    assert len(errors.splitlines()) == 1
