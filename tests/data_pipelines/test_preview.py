"""The preview command: a picture with one source varied per row, and a table."""

import numpy as np
import pytest
from PIL import Image

from data_pipelines import preview
from data_pipelines.datasets import make_dataset
from qlae.common.command_line import run_command


def test_each_row_varies_one_source_alone():
    dataset = make_dataset("shapes3d_rendered", image_size=16)
    images = preview.make_preview(dataset, seed=3)
    assert images.shape == (6, 10, 16, 16, 3)
    for row, cardinality in enumerate(dataset.spec.cardinalities):
        shown = images[row, : min(10, cardinality)].reshape(min(10, cardinality), -1)
        assert len(np.unique(shown, axis=0)) == len(shown)
    assert (images[3, 8:] == 255).all()


@pytest.mark.parametrize("name", ["shapes3d_rendered", "dsprites_rendered"])
def test_command_writes_the_picture_and_prints_the_table(name, tmp_path, capsys):
    path = tmp_path / "picture.png"
    preview.main([name, "--image_size=16", f"--output={path}"])
    out = capsys.readouterr().out
    assert f"{name}: " in out
    assert "orientation" in out
    assert str(path) in out
    assert Image.open(path).size[0] > 500


@pytest.mark.parametrize(
    "arguments",
    [
        ["shapes3d_rendred"],
        ["shapes3d"],
        ["shapes3d_rendered", "--output=/no/such/a.png"],
        ["shapes3d_rendered", "--seed=one"],
        ["shapes3d_rendered", "--data_dir=/data"],
        ["shapes3d_rendered", "--image_size=-5"],
        ["dsprites_rendered", "--image_size=20"],
        [],
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert run_command(preview.main, arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_directory_is_no_picture(tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    assert run_command(preview.main, ["shapes3d_rendered", f"--output={folder}"]) == 2
    assert f"cannot write {folder}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["pictures"]


@pytest.mark.parametrize("seed", [-1, 0, 2**70])
def test_any_integer_is_a_seed(seed):
    dataset = make_dataset("shapes3d_rendered", image_size=16)
    images = preview.make_preview(dataset, seed)
    np.testing.assert_array_equal(preview.make_preview(dataset, seed), images)
    assert (preview.make_preview(dataset, seed + 1) != images).any()
