"""A root is a place of runs; a run directory says what it is, or what is wrong with it."""

import json

import pytest
from etils import epath

from experiments.config_file import load_config
from qlae.common.errors import UserError
from qlae.dataset_facts import DatasetFacts
from qlae.run_directory import RunDirectory, delete_checkpoints, find_runs, list_steps
from tests import runs

FACTS = DatasetFacts((8, 8, 3), ("a", "b"), 100)


def make_run(path):
    run = RunDirectory(path)
    run.claim(load_config(runs.TINY), FACTS)
    return run


def test_runs_are_found_at_and_below_a_root(tmp_path):
    for name in ("sweep/qlae/seed_1", "sweep/qlae/seed_0", "alone"):
        make_run(tmp_path / name)
    (tmp_path / "sweep" / "notes").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in find_runs(tmp_path)]
    assert found == ["alone", "sweep/qlae/seed_0", "sweep/qlae/seed_1"]
    assert [path.name for path in find_runs(tmp_path / "alone")] == ["alone"]
    assert find_runs(tmp_path / "nothing") == []


def test_links_that_close_a_circle_are_not_followed(tmp_path):
    make_run(tmp_path / "runs" / "a")
    (tmp_path / "runs" / "circle").symlink_to(tmp_path / "runs")
    assert len(find_runs(tmp_path)) == 1
    (tmp_path / "link").symlink_to(tmp_path / "runs")  # named, it is followed
    assert len(find_runs(tmp_path / "link")) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"x"', "null", "{}", '{"config": []}', '{"config": 3}', "\ud83d"]
)
def test_a_damaged_config_is_one_line(tmp_path, text):
    (tmp_path / "config.json").write_text(text, errors="surrogatepass")
    with pytest.raises(UserError, match=r"config\.json is not a run's config"):
        RunDirectory(tmp_path).load_config()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_steps", None),
        ("num_steps", 0),
        ("num_steps", "40"),
        ("num_steps", 2.5),
        ("seed", -1),
        ("arm", 3),
        ("data", []),
        ("model", "qlae"),
        ("eval", None),
    ],
)
def test_a_config_that_lacks_what_all_need_is_named_by_every_command(tmp_path, name, value):
    make_run(tmp_path)
    document = json.loads((tmp_path / "config.json").read_text())
    document["config"][name] = value
    if value is None:
        del document["config"][name]
    (tmp_path / "config.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=rf"config\.json is not a run's config: .*{name}"):
        RunDirectory(tmp_path).load_config()
    code, output, errors = runs.run("eval.worker", f"--workdir={tmp_path}", "--once")
    assert (code, output, len(errors.splitlines())) == (2, "", 1)


@pytest.mark.parametrize("dataset", [None, {}, {"image_shape": [8, 8, 3]}, {"other": 1}, 3])
def test_damaged_facts_are_one_line(tmp_path, dataset):
    (tmp_path / "config.json").write_text(json.dumps({"config": {}, "dataset": dataset}))
    with pytest.raises(UserError, match=r"config\.json is not a run's config"):
        RunDirectory(tmp_path).load_facts()


@pytest.mark.parametrize("text", ["", "[]", "3", "{"])
def test_damaged_progress_is_none(tmp_path, text):
    (tmp_path / "progress.json").write_text(text)
    assert RunDirectory(tmp_path).load_progress() == {}


def test_states(tmp_path):
    run = RunDirectory(tmp_path / "run")
    assert run.state == "new"
    make_run(tmp_path / "run")
    assert run.state == "interrupted"
    run.fail("loss/total is nan at step 3")
    assert run.state == "failed"
    assert run.failure == "loss/total is nan at step 3"
    last = tmp_path / "run/checkpoints/40"
    last.mkdir(parents=True)
    (last / "commit_success.txt").write_text("")
    assert run.state == "complete"


def make_checkpoint(path, step, marked=True):
    folder = path / "checkpoints" / str(step)
    folder.mkdir(parents=True)
    (folder / "array").write_text("numbers")
    if marked:
        (folder / "commit_success.txt").write_text("")


def test_a_deletion_that_was_killed_is_finished_and_touches_nothing_else(tmp_path, monkeypatch):
    for step in (10, 20, 30):
        make_checkpoint(tmp_path, step)
    make_checkpoint(tmp_path, 5, marked=False)  # copied without its marker: nobody's to delete

    def kill(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(epath.Path(tmp_path)), "rmtree", kill)
        with pytest.raises(KeyboardInterrupt):
            delete_checkpoints(tmp_path, [10])
    assert list_steps(tmp_path) == [20, 30]  # a half is no whole
    assert (tmp_path / "checkpoints/10/array").exists()
    delete_checkpoints(tmp_path, [20])
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert left == ["30", "5"]
    assert list((tmp_path / "retired").iterdir()) == []
    (tmp_path / "retired/30").write_text("")  # noted, killed, and made again since
    delete_checkpoints(tmp_path, [])
    assert list_steps(tmp_path) == [30]
