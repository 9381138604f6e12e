"""Choosing without labels: what each criterion chooses, and how it goes with test scores."""

import numpy as np
import pytest
from scipy import stats

from eval import select
from eval.records import Record, write_record
from eval.udr import compute_udr
from qlae.common.command_line import run_command


def make_records(seed, infom, bce, gap, latents=None, model="qlae"):
    shared = {
        "model": model,
        "dataset": "shapes3d",
        "seed": seed,
        "protocol": "heldout",
        "step": 100,
        "metric_version": "2",
        "num_samples": 10,
        "config_id": f"{model}-config",
    }
    scores = {"infom": infom + 0.01, "bce": bce, "straight_through_gap": gap}
    validation = Record(**shared, scores=scores, split="validation", latent_sample=latents)
    return validation, Record(**shared, scores={"infom": infom})


def population():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 3))
    mixed = truth @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    codes = [truth, truth[:, [2, 0, 1]] * [1, -1, 1], truth + rng.normal(size=truth.shape), mixed]
    rows = [(0.9, 0.30, -0.01), (0.8, 0.20, 0.02), (0.6, 0.25, 0.03), (0.2, 0.40, 0.09)]
    return [
        make_records(seed, *row, latents=code.tolist())
        for seed, (row, code) in enumerate(zip(rows, codes, strict=True))
    ]


@pytest.fixture
def root(tmp_path):
    for seed, records in enumerate(population()):
        for record in records:
            write_record(tmp_path / str(seed), record)
        (tmp_path / str(seed) / "config.json").write_text("{}")
    return tmp_path


def test_each_criterion_chooses_and_is_correlated():
    validation, test = zip(*population(), strict=True)
    choices, missing = select.rank(list(validation), list(test), list(select.CRITERIA), "infom")
    assert missing == []
    found = {choice.criterion: choice for choice in choices}
    assert {name: choice.chosen[-1] for name, choice in found.items()} == {
        "loss": 1,
        "gap": 0,
        "udr": found["udr"].chosen[-1],
        "labels": 0,
    }
    assert found["udr"].chosen[-1] in (0, 1)
    infom = [record.scores["infom"] for record in test]
    losses = [-record.scores["bce"] for record in validation]
    assert found["loss"].correlation == pytest.approx(stats.spearmanr(losses, infom).statistic)
    assert found["labels"].correlation == pytest.approx(1)
    assert found["gap"].correlation == pytest.approx(1)
    assert (found["loss"].test, found["loss"].best) == (0.8, 0.9)
    assert found["udr"].correlation > 0


def test_udr_of_the_same_latents_in_another_order_is_one():
    rng = np.random.default_rng(0)
    # Rows of a Latin square: columns that rank images independently of one another.
    latents = np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 3).astype(float)
    dead = np.column_stack([latents[:, [2, 0, 1]] ** 3, np.ones(len(latents))])
    noise = rng.normal(size=latents.shape)
    scores = compute_udr([latents, -dead, None])
    assert scores[:2] == pytest.approx([1, 1])
    assert np.isnan(scores[2])
    assert compute_udr([latents, noise])[0] < 0.3
    assert np.isnan(compute_udr([latents])[0])
    assert compute_udr([latents, np.ones_like(latents)]).tolist() == [0, 0]


def run(capsys, *arguments):
    code = run_command(select.main, [str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_command(root, capsys):
    code, out, _ = run(capsys, root)
    assert code == 0
    assert [line.split()[1] for line in out.splitlines()[1:]] == ["loss", "gap", "udr", "labels"]
    code, out, _ = run(capsys, root, "--by=loss")
    assert "qlae [qlae-con] seed 1" in out
    assert out.splitlines()[1].split()[-4:] == ["0.800", "0.900", "0.400", "4"]


def test_mistakes_are_one_line(root, capsys, tmp_path):
    validation, test = make_records(0, 0.5, 0.5, 0.5)
    write_record(tmp_path / "only_test", test)
    (tmp_path / "only_test" / "config.json").write_text("{}")
    for arguments, message in (
        ((root, "--by=los"), "did you mean 'loss'"),
        ((tmp_path / "only_test",), "no record of split 'validation'"),
        ((root, "--by=labels", "--score=infox"), "no validation record has the score infox"),
    ):
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
    assert validation.split == "validation"
