"""Figures of many runs: what is drawn, of what, and one look at a trained model."""

import numpy as np
import pytest
from PIL import Image

from eval import figures
from eval.arm_plots import plot_densities, plot_nmi_maps, plot_scores, plot_scores_by_step
from eval.records import write_record
from qlae.common.command_line import run_command
from tests import runs
from tests.eval.test_results import make_record

SHIPPED = runs.ROOT / "experiments" / "colab" / "quickstart"
NMI = {
    "source_names": ["floor_hue", "shape"],
    "nmi_SxZ": [[0.9, 0.1, 0.0], [0.0, 0.8, 0.0]],
    "active_latents": [True, True, False],
}


def save(root):
    """Two arms, three and two seeds, two steps on validation and the last on test images."""
    rng = np.random.default_rng(0)
    for model, scores in (("qlae", (0.9, 0.5, 0.8)), ("ae", (0.4, 0.3))):
        for seed, infom in enumerate(scores):
            workdir = root / model / str(seed)
            sample = rng.integers(0, 4, (50, 3)).tolist()
            for step, split in ((100, "validation"), (200, "validation"), (200, "test")):
                kept = {"latent_sample": sample} if split == "validation" else {}
                at = {"seed": seed, "step": step, "split": split}
                write_record(workdir, make_record(model, infom=infom, **at, **NMI, **kept))
            (workdir / "config.json").write_text("{}")


def run(capsys, *arguments):
    code = run_command(figures.main, [str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_every_figure_is_written_and_named(tmp_path, capsys):
    save(tmp_path / "runs")
    code, out, err = run(capsys, tmp_path / "runs", f"--out={tmp_path / 'out'}")
    assert (code, err) == (0, "")
    names = ["scores", "scores_by_step", "nmi", "densities"]
    assert out.split() == [str(tmp_path / "out" / f"{name}.png") for name in names]
    for name in names:
        with Image.open(tmp_path / "out" / f"{name}.png") as image:
            assert np.asarray(image.convert("L")).std() > 5


def test_the_typical_run_has_the_median_score(tmp_path):
    save(tmp_path)
    records, _, _ = figures.collect([tmp_path])
    arms = figures.Arms(records, "test", "infom")
    assert {arm: record.seed for arm, record in arms.typical.items()} == {"qlae": 2, "ae": 1}
    assert [[record.step for record in run] for run in arms.all["ae"]] == [[100, 200]] * 2


def test_scores_show_every_run_and_an_interval_from_two_on():
    (axes,) = plot_scores({"infom": {"qlae": [0.8, 0.9], "ae": [0.4]}}).axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[0.8, 0.9], [0.4]]
    assert len(axes.collections) == 3  # two means, one interval
    assert [label.get_text() for label in axes.get_xticklabels()] == ["qlae", "ae"]
    assert axes.get_ylim() == (0, 1.02)


def test_curves_are_means_over_the_steps_that_all_runs_have():
    runs_of_arm = [{100: 0.2, 200: 0.4, 300: 0.9}, {100: 0.4, 200: 0.6}]
    (axes,) = plot_scores_by_step({"infom": {"qlae": runs_of_arm}}).axes
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_xydata(), [[100, 0.3], [200, 0.5]])


def test_maps_leave_out_what_is_inactive():
    nmi = np.array(NMI["nmi_SxZ"])
    active = np.array(NMI["active_latents"])
    figure = plot_nmi_maps({"qlae": nmi}, NMI["source_names"], {"qlae": active})
    shown = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(shown[:, :2], nmi[:, :2])
    assert shown.mask[:, 2].all() or np.isnan(np.asarray(shown)[:, 2]).all()


def test_integers_are_counted_one_by_one():
    latents = np.array([[0, 5], [0, 5], [2, 5], [3, 5]])
    axes = plot_densities({"qlae": latents}).axes
    assert [patch.get_height() for patch in axes[0].patches] == [2, 0, 1, 1]
    assert [patch.get_height() for patch in axes[1].patches] == [4]


@pytest.mark.heavy
def test_a_trained_run_is_shown_with_its_latents_swept(tmp_path, capsys):
    code, out, err = run(capsys, SHIPPED, f"--out={tmp_path}", "--decode")
    assert (code, err) == (0, "")
    assert str(tmp_path / "interventions_qlae.png") in out
    with Image.open(tmp_path / "interventions_qlae.png") as image:
        assert image.height > 3 * image.width / 2  # 12 latents in three images
        assert np.asarray(image.convert("L")).std() > 20


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "figures are of one dataset and kind of evaluation, but there are 2"),
        (("--dataset=mpi3d_real", "--split=valid"), "no record of split 'valid'"),
        (("--scores=infomm",), "no record has a score 'infomm'"),
        (("--dataset=cars3d",), "no record of dataset 'cars3d': there is mpi3d_real, shapes3d"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(tmp_path, capsys, arguments, line):
    save(tmp_path / "runs")
    other = tmp_path / "runs" / "other"
    write_record(other, make_record(dataset="mpi3d_real", **NMI))
    (other / "config.json").write_text("{}")
    code, out, err = run(capsys, tmp_path / "runs", f"--out={tmp_path / 'out'}", *arguments)
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
