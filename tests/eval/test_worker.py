"""The evaluation worker, knowing a run directory alone."""

import json
import shutil
import threading
import time

import jax
import numpy as np
import pytest
from PIL import Image

from eval import evaluator as evaluator_module
from eval.encode import compute_psnr
from eval.evaluation import Evaluations
from eval.evaluator import Evaluator
from eval.metrics.infomec import compute_infomec
from eval.records import load_records
from qlae.common.errors import UserError
from qlae.restore import open_run
from qlae.run_directory import list_steps
from tests import runs

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A tiny run that has trained to its end."""
    workdir = tmp_path_factory.mktemp("runs") / "run"
    code, _, errors = runs.train(workdir)
    assert code == 0, errors
    return workdir


@pytest.fixture(scope="module")
def scored(finished):
    """The same, scored on eight devices."""
    code, output, errors = runs.run("eval.worker", f"--workdir={finished}", devices=8)
    assert code == 0, errors
    assert output.count("infom") == 4
    return finished


def test_every_checkpoint_has_one_record_and_its_pictures(scored):
    records = load_records(scored)
    assert [record.step for record in records] == list_steps(scored) == [10, 20, 30, 40]
    for record in records:
        assert record.protocol == "heldout"
        assert record.num_samples == 1000
        assert {"infom", "infoe", "infoc", "psnr"} <= set(record.scores)
        assert all(np.isfinite(score) for score in record.scores.values())
        pictures = scored / "eval" / "heldout" / f"step_{record.step:09d}"
        for name in ("reconstructions", "traversals", "nmi"):
            with Image.open(pictures / f"{name}.png") as image:
                assert min(image.size) > 50
                assert np.asarray(image.convert("L")).std() > 5  # something is drawn


def test_tensorboard_gets_the_same_scores_and_pictures(scored):
    logged: dict[str, list] = {}
    for path in (scored / "logs" / "eval").glob("events*"):
        for value, step in runs.read_events(path):
            logged.setdefault(value.tag, []).append((step, value))
    records = load_records(scored)
    for name in ("infom", "psnr"):
        found = {step: value.simple_value for step, value in logged[f"eval/heldout/{name}"]}
        expected = {record.step: pytest.approx(record.scores[name], rel=1e-5) for record in records}
        assert found == expected
    for latent in range(12):
        counts = [value.histo for _, value in logged[f"codes/z{latent}"]]
        assert [histogram.num for histogram in counts] == [1000] * 4
    (_, text) = logged["origin/config/text_summary"][0]
    assert b'"arm": "qlae"' in text.tensor.string_val[0]
    assert len(logged["_hparams_/session_start_info"]) == len(logged["origin/config/text_summary"])
    for name in ("reconstructions", "traversals", "nmi"):
        assert len(logged[f"eval/heldout/{name}"]) == 4
        assert all(value.image.height > 50 for _, value in logged[f"eval/heldout/{name}"])


def test_a_scored_run_is_scored_again_by_another_dialect(scored, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(scored, run)
    again = ("--once", "--last", "--splits=test", "--dialect=tripod2024", "--metrics=infomec,mig")
    code, output, errors = runs.run("eval.worker", f"--workdir={run}", *again)
    assert code == 0, errors
    assert output.count("heldout test, tripod2024") == 1
    before, after = load_records(scored), load_records(run)
    added = [record for record in after if record not in before]
    assert [(record.step, record.dialect) for record in added] == [(40, "tripod2024")]
    assert "mig" in added[0].scores
    assert added[0].config_id == before[0].config_id
    assert runs.run("eval.worker", f"--workdir={run}", *again)[1].count("infom") == 0
    tags = {
        value.tag for path in (run / "logs/eval").glob("*") for value, _ in runs.read_events(path)
    }
    assert {"eval/heldout/infom", "eval/heldout.tripod2024/infom"} <= tags


def test_an_unknown_dialect_is_told_before_a_run_is_opened(tmp_path):
    code, _, errors = runs.run("eval.worker", f"--workdir={tmp_path}", "--dialect=tripod2042")
    assert code == 2
    assert "did you mean 'tripod2024'" in errors


def test_scores_are_infomec_of_the_held_out_indices(scored):
    run = open_run(scored)
    evaluation = Evaluations().find(run)
    encoding = evaluation.encode(run.load(40, evaluation.layout.replicated))
    assert encoding.latents_NxZ.dtype == np.int32
    data = evaluation.data
    expected_sources = data.dataset.spec.sources_at(data.split.test_indices)
    np.testing.assert_array_equal(encoding.sources_NxS, expected_sources)
    infomec = compute_infomec(encoding.sources_NxS, encoding.latents_NxZ, discrete=True)
    record = load_records(scored)[-1]
    assert record.scores["infom"] == pytest.approx(infomec.infom, abs=1e-6)
    assert record.scores["psnr"] == pytest.approx(encoding.psnr_N.mean(), abs=1e-3)


def test_held_out_images_are_never_trained_on(scored):
    split = Evaluations().find(open_run(scored)).data.split
    assert not set(split.train_indices.tolist()) & set(split.test_indices.tolist())


def test_a_checkpoint_is_restored_and_decoded_as_the_readme_says(scored):
    run = open_run(scored)
    model = run.program.merge(run.load())
    evaluation = Evaluations().find(run)
    data = evaluation.data
    images = data.dataset.images(data.split.test_indices[:8]) / 255
    codes = model.encode(images)
    reconstructions = jax.nn.sigmoid(model.decode(codes.z_hat))
    assert codes.indices.shape == (8, 12)
    assert reconstructions.shape == images.shape
    params = run.load(40, evaluation.layout.replicated)
    expected = evaluation.encode(params).latents_NxZ[:8]
    np.testing.assert_array_equal(codes.indices, expected)
    with pytest.raises(UserError, match=r"has no checkpoint of step 7,777: 10, 20, 30, 40"):
        run.load(7_777)


def test_scored_again_nothing_is_left_to_do(scored):
    before = {path: path.stat().st_mtime_ns for path in (scored / "eval").rglob("*.json")}
    code, output, _ = runs.run("eval.worker", f"--workdir={scored}", "--once")
    assert code == 0
    assert "infom" not in output
    assert before == {path: path.stat().st_mtime_ns for path in (scored / "eval").rglob("*.json")}


def test_two_workers_on_one_run_agree_byte_for_byte(finished, tmp_path):
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    for workdir in (shared, alone):
        shutil.copytree(finished, workdir, ignore=shutil.ignore_patterns("eval", "10", "20", "30"))
    evaluations = Evaluations()
    evaluators = [
        Evaluator(run, evaluations.find(run)) for run in map(open_run, (shared, shared, alone))
    ]
    both = threading.Barrier(2)

    def score(evaluator):
        publish = evaluator._publish

        def publish_together(*args):
            both.wait(60)  # neither has seen the other's record
            publish(*args)

        evaluator._publish = publish_together
        evaluator.score(40)

    threads = [threading.Thread(target=score, args=(each,)) for each in evaluators[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    evaluators[2].score(40)
    for evaluator in evaluators:
        evaluator.close()
    files = [
        {path.relative_to(w): path.read_bytes() for path in sorted((w / "eval").rglob("*.*"))}
        for w in (shared, alone)
    ]
    assert files[0] == files[1]
    assert len(load_records(shared)) == 1
    assert len(list((shared / "logs/eval").glob("events*"))) == 2  # neither wrote into the other's


def test_one_damaged_checkpoint_does_not_take_the_others_down(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir, ignore=shutil.ignore_patterns("eval"))
    for file in (workdir / "checkpoints" / "20" / "params").rglob("*"):
        if file.is_file() and file.stat().st_size > 1000:
            file.write_bytes(file.read_bytes()[:500])
    (workdir / "checkpoints" / "30" / "commit_success.txt").unlink()  # copied without its marker
    code, _, errors = runs.run("eval.worker", f"--workdir={workdir}", "--once")
    assert code == 2
    assert [record.step for record in load_records(workdir)] == [10, 40]
    assert f"{workdir}/checkpoints/20 cannot be read" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("arguments", [["--once"], []])
def test_no_run_is_one_line(tmp_path, arguments):
    code, _, errors = runs.run("eval.worker", f"--workdir={tmp_path / 'nothing'}", *arguments)
    assert code == 2
    assert errors.startswith("error: no run at")
    assert "or below it; check --workdir" in errors
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "nothing").exists()


def test_a_failed_run_ends_the_worker(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir, ignore=shutil.ignore_patterns("eval"))
    shutil.rmtree(workdir / "checkpoints" / "40")
    config = json.loads((workdir / "config.json").read_text())
    config["config"]["eval"]["metrics"] = ["infomec", "mig"]
    (workdir / "config.json").write_text(json.dumps(config))
    (workdir / "FAILED").write_text("loss/total is nan at step 33\n")
    code, output, errors = runs.run("eval.worker", f"--workdir={workdir}")
    assert code == 0, errors
    assert "training failed: loss/total is nan" in output
    assert [record.step for record in load_records(workdir)] == [10, 20, 30]
    assert all("mig" in record.scores for record in load_records(workdir))


def test_one_broken_run_does_not_take_the_others_down(scored, tmp_path):
    good = tmp_path / "good"
    shutil.copytree(scored, good, ignore=shutil.ignore_patterns("eval", "10", "20", "30"))
    broken = tmp_path / "broken"
    shutil.copytree(good, broken)
    (broken / "config.json").write_text("{}")
    workdirs = [f"--workdir={workdir}" for workdir in (tmp_path / "none", broken, good)]
    code, _, errors = runs.run("eval.worker", *workdirs)
    assert code == 2
    assert [record.step for record in load_records(good)] == [40]
    assert len(errors.splitlines()) == 2
    assert "Traceback" not in errors


def test_a_root_is_a_place_of_runs_that_may_appear_later(finished, tmp_path):
    """It ends when all that began are complete or failed, and every checkpoint is scored."""
    root, waiting = tmp_path / "root", tmp_path / "waiting"
    first, second = root / "qlae" / "seed_0", root / "qlae" / "seed_1"
    keep_two = shutil.ignore_patterns("eval", "10", "20")
    shutil.copytree(finished, first, ignore=keep_two)
    (first / "checkpoints" / "40").rename(tmp_path / "40")  # still training
    shutil.copytree(finished, waiting, ignore=keep_two)
    (waiting / "FAILED").write_text("loss/total is nan at step 41\n")

    def go_on():
        while not load_records(first):
            time.sleep(0.05)
        waiting.rename(second)
        while not load_records(second):
            time.sleep(0.05)
        (tmp_path / "40").rename(first / "checkpoints" / "40")

    trainers = threading.Thread(target=go_on, daemon=True)
    trainers.start()
    code, output, errors = runs.run("eval.worker", f"--workdir={root}", "--poll=0.1")
    trainers.join(10)
    assert code == 0, errors
    assert [record.step for record in load_records(first)] == [30, 40]
    assert [record.step for record in load_records(second)] == [30, 40]
    assert f"{second}: training failed: loss/total is nan at step 41" in output


def test_psnr_of_a_known_error():
    image = np.full((2, 4, 4, 3), 0.5, np.float32)
    np.testing.assert_allclose(compute_psnr(image, image + 0.1), 20, rtol=1e-5)


def set_metrics(workdir, *metrics):
    """Trains a finished run again, as its user would, with other metrics in its config."""
    code, output, errors = runs.train(workdir, f"--config.eval.metrics={metrics}")
    assert code == 0, errors
    assert "is complete" in output


def test_metrics_added_to_a_finished_run_are_computed_for_its_old_checkpoints(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir, ignore=shutil.ignore_patterns("eval", "10", "20", "30"))
    evaluations, computed = Evaluations(), []
    compute = evaluator_module.compute_metrics

    def note(names, *args, **options):
        computed.extend(names)
        if computed == ["infomec", "mig", "modularity"]:
            raise KeyboardInterrupt  # as if it were killed
        return compute(names, *args, **options)

    def score():
        run = open_run(workdir)
        scorer = Evaluator(run, evaluations.find(run))
        assert scorer.list_pending() == [40]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(evaluator_module, "compute_metrics", note)
            scorer.score(40)
        scorer.close()
        assert scorer.list_pending() == []

    score()
    (before,) = load_records(workdir)
    set_metrics(workdir, "infomec", "mig", "modularity")
    with pytest.raises(KeyboardInterrupt):
        score()
    score()
    # What was done before, and what the killed one had done, is not done again.
    assert computed == ["infomec", "mig", "modularity", "modularity"]
    (after,) = load_records(workdir)
    assert after.metrics == ["infomec", "mig", "modularity"]
    assert before.scores.items() <= after.scores.items()
    assert {"mig", "modularity"} <= set(after.scores)
    assert not list((workdir / "eval").rglob(".*.draft"))
