"""Sweeps: a table of runs with stable names, skipped when finished, resumed when not."""

import json
import re

from eval.records import load_records
from qlae.run_directory import list_steps
from tests import runs

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


def test_mistakes_are_one_line(tmp_path):
    for arguments, message in (
        (["--arms=qlea"], "unknown arm 'qlea'"),
        (["--datasets=shapes"], "did you mean"),
        (["--config=nowhere/{arm}.py"], "no config file"),
    ):
        code, _, errors = runs.run("experiments.sweeps", f"--root={tmp_path}", *arguments)
        assert code == 2
        assert message in errors
        assert "Traceback" not in errors
