"""Tables of runs: right intervals, only like with like, and in every format."""

import csv
import dataclasses
import io
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from eval import aggregate, comparison, results
from eval.records import Record, write_record
from eval.tables import ALL_DATASETS, FORMATS
from qlae.common.command_line import run_command
from qlae.common.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]
QLAE = (0.9, 0.92, 0.94)
AE = (0.5, 0.55, 0.45)


def make_record(model="qlae", dataset="shapes3d", seed=0, infom=0.5, **changes):
    values = {
        "model": model,
        "dataset": dataset,
        "seed": seed,
        "protocol": "heldout",
        "step": 5000,
        "metric_version": "1",
        "num_samples": 10_000,
        "scores": {"infom": infom, "infoe": 0.5 + seed / 100, "infoc": 0.5, "bce": 1 - infom},
        "config_id": f"{model}-{dataset}",
    }
    return Record(**{**values, **changes})


def two_models():
    return [
        make_record(model, "shapes3d", seed, infom)
        for model, scores in (("qlae", QLAE), ("ae", AE))
        for seed, infom in enumerate(scores)
    ]


def cells_of(table, score="infom"):
    return {(cell.dataset, cell.row): cell for cell in table.cells if cell.score == score}


def save(root, records):
    for number, record in enumerate(records):
        write_record(root / record.model / str(number), record)
        (root / record.model / str(number) / "config.json").write_text("{}")


def run(capsys, *arguments):
    code = run_command(results.main, [str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_interval_is_students_t_with_ddof_one():
    mean, half_width, _ = aggregate.compute_interval(QLAE)
    low, high = stats.t.interval(0.95, 2, loc=np.mean(QLAE), scale=stats.sem(QLAE))
    assert mean == pytest.approx(0.92)
    assert mean - half_width == pytest.approx(low)
    assert mean + half_width == pytest.approx(high)
    assert aggregate.compute_interval([0.5])[:2] == (0.5, None)


def test_means_and_best():
    (table,), notes = aggregate.make_tables(two_models(), ["infom", "infoc", "bce"])
    assert notes == []
    cells = cells_of(table)
    assert cells["shapes3d", "qlae"].num_runs == 3
    assert cells["shapes3d", "qlae"].mean == pytest.approx(np.mean(QLAE))
    assert cells["shapes3d", "qlae"].is_best
    assert not cells["shapes3d", "ae"].is_best
    # Equal intervals overlap, so both are best; and a loss is better when it is lower.
    assert all(cell.is_best for cell in cells_of(table, "infoc").values())
    assert cells_of(table, "bce")["shapes3d", "qlae"].is_best
    assert not cells_of(table, "bce")["shapes3d", "ae"].is_best


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "paper"},
        {"metric_version": "2"},
        {"step": 10_000},
        {"num_samples": 500},
        {"split": "validation"},
        {"dialect": "tripod2024"},
    ],
)
def test_unlike_records_are_never_averaged(change):
    records = [*two_models(), make_record(seed=7, **change)]
    made, notes = aggregate.make_tables(records)
    assert len(made) == 2
    assert sorted(cell.num_runs for table in made for cell in table.cells) == [1] * 3 + [3] * 6
    assert any("never averaged together: there are 2 tables" in note for note in notes)


def test_configurations_get_lines_of_their_own():
    records = [*two_models(), make_record(seed=5, config_id="other")]
    (table,), notes = aggregate.make_tables(records)
    rows = {cell.row for cell in table.cells}
    assert rows == {"ae", "qlae [qlae-sha]", "qlae [other]"}
    assert any("2 configurations, which are never averaged" in note for note in notes)


def test_a_seed_counts_once():
    records = [*two_models(), make_record(seed=0, infom=0.1)]
    (table,), notes = aggregate.make_tables(records)
    assert cells_of(table)["shapes3d", "qlae"].num_runs == 3
    assert any("occurs more than once" in note for note in notes)


def test_aggregate_over_datasets():
    other = (0.6, 0.8, 0.9, 0.7)
    records = [
        *two_models(),
        *(make_record("qlae", "mpi3d", seed, infom) for seed, infom in enumerate(other)),
    ]
    (table,), _ = aggregate.make_tables(records)
    cells = cells_of(table)
    # The autoencoder has no run on the second dataset, so no mean over datasets.
    assert (ALL_DATASETS, "ae") not in cells
    cell = cells[ALL_DATASETS, "qlae"]
    assert cell.num_runs == 7
    assert cell.mean == pytest.approx((np.mean(QLAE) + np.mean(other)) / 2)
    # The sum has the interval of Welch's difference with one sample turned over.
    welch = stats.ttest_ind(QLAE, -np.array(other), equal_var=False).confidence_interval()
    assert 2 * 2 * cell.half_width == pytest.approx(welch.high - welch.low)


def test_a_missing_score_is_said():
    records = two_models()
    records[0] = make_record(scores={"infom": 0.9, "infoe": float("nan"), "infoc": 0.5})
    (table,), notes = aggregate.make_tables(records)
    assert cells_of(table, "infoe")["shapes3d", "qlae"].num_runs == 2
    assert any("seed 0 of qlae on shapes3d has no infoe" in note for note in notes)


def test_last_step_of_each_run():
    records = [make_record(step=step, infom=step / 1e4) for step in (5000, 10_000, 1000)]
    assert [record.step for record in results.choose(records)] == [10_000]
    assert [record.step for record in results.choose(records, step=5000)] == [5000]
    with pytest.raises(UserError, match="no record of step 7: there is 1000, 5000, 10000"):
        results.choose(records, step=7)
    with pytest.raises(UserError, match="no record of protocol 'paper': there is heldout"):
        results.choose(records, protocol="paper")


def test_command_in_every_format(tmp_path, capsys):
    save(tmp_path, two_models())
    code, out, err = run(capsys, tmp_path)
    assert code == 0
    assert err == ""
    assert (
        "protocol heldout, split test, dialect lq2023, step 5000, 10000 samples, metrics version 1"
        in out
    )
    assert "0.920 ± 0.050*" in out
    assert "0.500 ± 0.124 " in out

    _, markdown, _ = run(capsys, tmp_path, "--format", "markdown")
    assert "| shapes3d | infom | infoe | infoc | runs | diverged |" in markdown
    assert "| `qlae` | **0.920 ± 0.050** |" in markdown

    _, latex, _ = run(capsys, tmp_path / "qlae", tmp_path / "ae", "--format", "latex")
    assert r"qlae & $\mathbf{0.920 \pm 0.050}$ &" in latex
    assert r"\multicolumn{6}{l}{shapes3d} \\" in latex

    file = tmp_path / "table.csv"
    _, out, _ = run(capsys, tmp_path, "--format", "csv", "--scores", "all", "--out", file)
    assert out == ""
    lines = list(csv.DictReader(io.StringIO(file.read_text())))
    assert len(lines) == 8
    first = next(line for line in lines if (line["model"], line["score"]) == ("qlae", "infom"))
    assert float(first["mean"]) == pytest.approx(0.92)
    assert float(first["high"]) - float(first["low"]) == pytest.approx(2 * 0.0497, abs=1e-4)


def test_single_run_has_no_interval(tmp_path, capsys):
    save(tmp_path, [make_record("vq_vae", infom=0.75)])
    _, out, _ = run(capsys, tmp_path)
    assert "0.750 " in out
    assert "0.750*" not in out
    _, latex, _ = run(capsys, tmp_path, "--format", "latex")
    assert r"vq\_vae & $0.750$" in latex
    _, text, _ = run(capsys, tmp_path, "--format", "csv")
    assert ",0.75,,,1,0,,0" in text


def test_a_single_run_is_never_best_though_its_mean_is():
    (table,), _ = aggregate.make_tables([*two_models(), make_record("vq_vae", infom=0.99)])
    cells = cells_of(table)
    assert not any(cell.is_best for cell in cells.values())


def test_diverged_seeds_are_counted_beside_each_line(tmp_path, capsys):
    save(tmp_path, two_models())
    for seed in (3, 4):
        record = make_record("qlae", seed=seed, step=1000)
        write_record(tmp_path / "lost" / str(seed), record)
        (tmp_path / "lost" / str(seed) / "config.json").write_text("{}")
        (tmp_path / "lost" / str(seed) / "FAILED").write_text("loss is not finite\n")
    (tmp_path / "ae" / "4" / "FAILED").write_text("stopped after its last record\n")
    _, text, _ = run(capsys, tmp_path, "--format", "csv", "--step", "5000")
    lines = [line for line in csv.DictReader(io.StringIO(text)) if line["score"] == "infom"]
    assert {line["model"]: line["num_diverged"] for line in lines} == {"qlae": "2", "ae": "0"}
    assert {line["split"] for line in lines} == {"test"}
    _, out, _ = run(capsys, tmp_path, "--step", "5000")
    assert "diverged" in out
    (row,) = [line for line in out.splitlines() if line.startswith("qlae")]
    assert row.split()[-2:] == ["3", "2"]


def test_paired_comparison_by_seed(tmp_path, capsys):
    records = two_models()
    save(tmp_path, records)
    (table,) = comparison.make_comparisons(records, "ae", ["infom"])
    (cell,) = table.cells
    expected = np.array(QLAE) - np.array(AE)
    interval = stats.ttest_rel(QLAE, AE).confidence_interval()
    assert cell.mean == pytest.approx(expected.mean())
    assert cell.mean + cell.half_width == pytest.approx(interval.high)
    assert cell.num_runs == 3
    assert cell.is_best
    code, out, _ = run(capsys, tmp_path, "--against", "ae")
    assert code == 0
    assert "difference from ae, paired by seed" in out
    assert "+0.420 ± 0.155*" in out
    code, _, err = run(capsys, tmp_path, "--against", "vae")
    assert code == 2
    assert "no row is called 'vae', did you mean 'ae'?" in err
    only = [make_record("qlae", seed=1), make_record("ae", seed=1), make_record("ae", seed=2)]
    (cell,) = comparison.make_comparisons(only, "ae", ["infom"])[0].cells
    assert (cell.num_runs, cell.half_width, cell.is_best) == (1, None, False)


def test_a_ceiling_stands_beside_its_score():
    records = [
        dataclasses.replace(
            record, ceilings={"infom": 0.95}, scores={"infom": 0.9, "num_active": 7.0}
        )
        for record in two_models()
    ]
    (table,), _ = aggregate.make_tables(records)
    assert table.scores == ("infom", "num_active")
    text = FORMATS["terminal"]([table])
    assert "0.900 ± 0.000 (of 0.95)*" in text
    assert "7.0 ± 0.0 " in text
    assert "a perfect code scores X" in text


def test_validation_does_not_stand_in_for_test():
    records = [make_record(split="validation", step=step) for step in (5000, 10_000)]
    assert [r.step for r in results.choose(records, "validation")] == [10_000]
    with pytest.raises(UserError, match="no record of split 'test': there is validation"):
        results.choose(records)


def test_notes_go_to_standard_error(tmp_path, capsys):
    save(tmp_path / "runs", [*two_models(), make_record(seed=9, protocol="paper")])
    unfinished = tmp_path / "runs" / "new"
    unfinished.mkdir()
    (unfinished / "config.json").write_text("{}")
    (tmp_path / "runs" / "qlae" / "0" / "FAILED").write_text("loss is not finite\n")
    code, out, err = run(capsys, tmp_path / "runs")
    assert code == 0
    assert "never averaged" in err
    assert "new has not been evaluated" in err
    assert "failed (loss is not finite)" in err
    assert "note" not in out


def test_a_reader_that_stops_early_is_no_error(tmp_path):
    save(tmp_path, two_models())
    command = f"{sys.executable} -m eval.results {tmp_path} | true"
    done = subprocess.run(
        command, shell=True, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_mistakes_are_one_line(tmp_path, capsys):
    save(tmp_path / "runs", two_models())
    (tmp_path / "empty").mkdir()
    cases = [
        ([tmp_path / "none"], "is not a directory"),
        ([tmp_path / "empty"], "no evaluated run"),
        ([tmp_path / "runs", "--scores", "infox"], "no record has a score 'infox'"),
        ([tmp_path / "runs", "--protocol", "paper"], "no record of protocol"),
        ([tmp_path / "runs", "--out", tmp_path / "no" / "t"], "cannot write"),
    ]
    for arguments, message in cases:
        code, out, err = run(capsys, *arguments)
        assert code == 2
        assert out == ""
        assert message in err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
