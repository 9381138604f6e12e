"""The command for those who train elsewhere: files in, table and JSON out, one-line errors."""

import json
import pathlib
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from eval import score
from eval.metrics.dialects import DIALECTS
from eval.metrics.errors import InputError
from eval.metrics.infomec import compute_infomec
from qlae.common.command_line import run_command
from qlae.common.errors import UserError


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    sources = rng.integers(0, 4, (300, 3))
    return sources, sources + rng.normal(size=(300, 3))


def run(capsys, *arguments):
    code = run_command(score.main, [str(argument) for argument in arguments], (InputError,))
    out, err = capsys.readouterr()
    return code, out, err


def test_npy(tmp_path, arrays, capsys):
    np.save(tmp_path / "s.npy", arrays[0])
    np.save(tmp_path / "z.npy", arrays[1])
    code, out, err = run(
        capsys, "--sources", tmp_path / "s.npy", "--latents", tmp_path / "z.npy",
        "--metrics", "infomec,mig",
    )  # fmt: skip
    report = json.loads(out)
    expected = compute_infomec(*arrays, discrete=False)
    assert code == 0
    assert report["scores"]["infomec"] == pytest.approx(expected.scores())
    assert list(report["scores"]) == ["infomec", "mig"]
    assert report["infomec"]["active_latents"] == [True] * 3
    assert "300 samples, 3 sources, 3 continuous latents (3 active)" in err
    assert f"{expected.infom:.4f}" in err


def test_npz_keys_and_out(tmp_path, arrays, capsys):
    codes = np.round(arrays[1]).astype(np.int8)
    np.savez(tmp_path / "both.npz", sources=arrays[0], latents=codes, other=codes[:5])
    file = tmp_path / "both.npz"
    out_file = tmp_path / "scores.json"
    code, out, _ = run(
        capsys, "--sources", file, "--latents", f"{file}:latents", "--discrete", "--out", out_file
    )
    assert code == 0
    assert "infoe_heldout" in out
    assert json.loads(out_file.read_text())["discrete"] is True


@pytest.mark.parametrize("header", ["", "a,b,c\n"])
def test_csv(tmp_path, arrays, capsys, header):
    for name, array in zip("sz", arrays, strict=True):
        lines = "\n".join(",".join(map(repr, row)) for row in array.tolist())
        (tmp_path / f"{name}.csv").write_text(header + lines + "\n\n")
    code, out, _ = run(capsys, "--sources", tmp_path / "s.csv", "--latents", tmp_path / "z.csv")
    assert code == 0
    expected = compute_infomec(*arrays, discrete=False).scores()
    assert json.loads(out)["scores"]["infomec"] == pytest.approx(expected)


def save_object_array(path):
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def save_pickle(path):
    path.write_bytes(pickle.dumps(np.eye(3)))


def save_truncated(path):
    np.save(path, np.eye(30))
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize("save", [save_object_array, save_pickle, save_truncated])
def test_no_pickle_is_loaded(tmp_path, arrays, capsys, save):
    np.save(tmp_path / "s.npy", arrays[0])
    save(tmp_path / "z.npy")
    code, out, err = run(capsys, "--sources", tmp_path / "s.npy", "--latents", tmp_path / "z.npy")
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "holds no plain numeric array" in err


def test_npz_of_objects(tmp_path, capsys):
    np.savez(tmp_path / "z.npz", latents=np.array([{}], dtype=object))
    code, _, err = run(capsys, "--sources", tmp_path / "z.npz", "--latents", tmp_path / "z.npz")
    assert code == 2
    assert "never loaded" in err


def test_broken_zip(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "z.npz", "w") as archive:
        archive.writestr("latents.npy", b"not an array")
    code, _, err = run(capsys, "--sources", tmp_path / "z.npz", "--latents", tmp_path / "z.npz")
    assert code == 2
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no lines of numbers"),
        ("a,b\n", "no lines of numbers"),
        ("1,2\n3\n", "line 2 has 1 values, expected 2"),
        ("1,2\n3,x\n", "line 2 is not made of numbers"),
        ("1,2\n3,nan\n", "NaN or inf"),
    ],
)
def test_bad_csv(tmp_path, capsys, text, message):
    (tmp_path / "z.csv").write_text(text)
    np.save(tmp_path / "s.npy", np.arange(4).reshape(2, 2))
    code, _, err = run(capsys, "--sources", tmp_path / "s.npy", "--latents", tmp_path / "z.csv")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_mistakes_in_arguments(tmp_path, arrays, capsys):
    file = tmp_path / "s.npy"
    np.save(file, arrays[0])
    text = tmp_path / "s.txt"
    text.write_text("1")
    np.savez(tmp_path / "two.npz", a=arrays[0], b=arrays[1])
    two = tmp_path / "two.npz"
    np.savez(tmp_path / "empty.npz")
    (tmp_path / "nothing.npz").write_bytes(b"")
    np.save(tmp_path / "no_rows.npy", np.zeros((0, 2)))
    cases = [
        (["--sources", tmp_path / "empty.npz", "--latents", file], "holds no array"),
        (["--sources", tmp_path / "nothing.npz", "--latents", file], "no plain numeric array"),
        (["--sources", file, "--latents", tmp_path / "no_rows.npy"], "at least one row"),
        (["--sources", tmp_path / "none.npy", "--latents", file], "there is no file"),
        (["--sources", text, "--latents", file], "suffix '.txt'"),
        (["--sources", file, "--latents", file, "--metrics", "infomac"], "did you mean 'infomec'"),
        (["--sources", file, "--latents", file, "--metrics", ","], "no metric named"),
        (["--sources", two, "--latents", file], "several arrays"),
        (["--sources", f"{two}:c", "--latents", file], "has no array 'c'"),
        (["--sources", f"{two}:b", "--latents", file], "fractional"),
        (["--sources", file, "--latents", file, "--out", tmp_path / "no" / "o.json"], "cannot"),
    ]
    for arguments, message in cases:
        code, out, err = run(capsys, *arguments)
        assert code == 2
        assert out == ""
        assert message in err
        assert err.count("\n") == 1


def test_all_dialects_side_by_side(tmp_path, capsys):
    sources = np.random.default_rng(0).integers(0, 4, (300, 3))
    np.save(tmp_path / "s.npy", sources)
    np.save(tmp_path / "z.npy", np.pad(sources[:, :1], ((0, 0), (0, 1))))
    code, out, err = run(
        capsys, "--sources", tmp_path / "s.npy", "--latents", tmp_path / "z.npy", "--discrete",
        "--dialect=all",
    )  # fmt: skip
    assert code == 0
    found = json.loads(out)["dialects"]
    assert set(found) == set(DIALECTS)
    assert found["lq2023"]["scores"]["infoc"] is not None
    assert found["lq2023_trainer"]["scores"]["infoc"] is None
    assert "a single latent is active" in found["lq2023_trainer"]["undefined"]["infoc"]
    for name in DIALECTS:
        assert f"\n{name} " in err
    assert "largest - least" in err


def test_one_dialect_and_its_decisions(tmp_path, capsys):
    sources = np.random.default_rng(0).integers(0, 4, (300, 3))
    np.save(tmp_path / "s.npy", sources)
    file = tmp_path / "s.npy"
    options = ["--sources", file, "--latents", file]
    code, out, err = run(capsys, *options, "--dialect", "lq2023_trainer")
    report = json.loads(out)
    assert code == 0
    assert report["dialect"] == "lq2023_trainer"
    assert "k = 3" in report["infomec"]["protocol"]["nmi"]
    assert "dialect lq2023_trainer" in err
    assert "range > largest / 8" in err
    code, out, err = run(capsys, *options, "--dialect", "tripod")
    assert (code, out) == (2, "")
    assert err.startswith("error: no dialect is called 'tripod', did you mean 'tripod2024'?")


def test_a_header_that_claims_more_than_there_is(tmp_path, capsys):
    np.save(tmp_path / "s.npy", np.arange(4).reshape(2, 2))
    with (tmp_path / "z.npy").open("wb") as file:
        header = {"descr": "<i8", "fortran_order": False, "shape": (2**45, 2**7)}
        np.lib.format.write_array_header_1_0(file, header)
    (tmp_path / "q.csv").write_text('1,"2\n3,4\n' + "x" * 200_000)
    np.savez(tmp_path / "none.npz")
    for name in ("z.npy", "q.csv", "none.npz"):
        code, out, err = run(capsys, "--sources", tmp_path / "s.npy", "--latents", tmp_path / name)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1


def test_a_failing_metric_is_in_the_table(tmp_path, capsys):
    sources = np.stack([np.arange(20), np.arange(20) % 2], axis=1)
    np.save(tmp_path / "s.npy", sources)
    file = tmp_path / "s.npy"
    code, out, err = run(
        capsys, "--sources", file, "--latents", file, "--discrete", "--metrics", "factor_vae,mig"
    )
    assert code == 1
    assert "factor_vae failed: no value of a source occurs twice" in err
    assert json.loads(out)["scores"].keys() == {"mig"}


@pytest.mark.process
def test_as_a_process(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "eval.score", "--latents", "z.npy"],
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr == "error: the following arguments are required: --sources (see --help)\n"


def test_real_values_are_not_taken_for_codes():
    sources = np.arange(100)[:, None] % 4
    latents = np.random.default_rng(0).normal(size=(100, 2))
    with pytest.raises(UserError, match="100 different values in 100 samples, so these are no"):
        score.score(sources, latents, ["mig"], discrete=True)
    halves = sources / 2  # a codebook's values are as good as its indices
    by_value = score.score(sources, halves, ["mig"], discrete=True)
    assert by_value["scores"] == score.score(sources, sources, ["mig"], discrete=True)["scores"]
