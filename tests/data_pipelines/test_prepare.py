"""Each published format, made small: prepared, read back, compared pixel for pixel."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines import prepare, shards, staging
from data_pipelines.builder import GridBuilder
from data_pipelines.datasets import make_dataset
from data_pipelines.formats.readers import READERS
from data_pipelines.specs import SPECS
from qlae.common.command_line import run_command
from qlae.common.errors import UserError
from tests.data_pipelines import published_files as files

ROOT = Path(__file__).parents[2]


def write_png(spec, tmp_path, kind, root, label_name):
    members, expected = files.png_members(spec, root, label_name)
    source = tmp_path / f"source{kind}"
    {".zip": files.write_zip, "": files.write_folder}.get(kind, files.write_tar)(members, source)
    return source, expected


def write_cars(spec, tmp_path, kind):
    members, expected = files.car_members(spec)
    source = tmp_path / f"nips2015-analogy-data{kind}"
    (files.write_tar if kind else files.write_folder)(members, source)
    return source, expected


def write_norb(spec, tmp_path):
    source = tmp_path / "norb"
    source.mkdir()
    return source, files.write_smallnorb(spec, source)


def one_file(write, filename, **kwargs):
    def write_source(spec, tmp_path):
        return tmp_path / filename, write(spec, tmp_path / filename, **kwargs)

    return write_source


FALCOR = ("Falcor3D_down128", "train-rec.labels")
ISAAC = ("Isaac3D_down128", "labels.npy")
SOURCES = {
    "shapes3d-h5": ("shapes3d", one_file(files.write_shapes3d, "3dshapes.h5")),
    "dsprites-npz": ("dsprites", one_file(files.write_dsprites_npz, "dsprites.npz")),
    "dsprites-h5": ("dsprites", one_file(files.write_dsprites_h5, "dsprites.hdf5")),
    "mpi3d_complex-npz": ("mpi3d_complex", one_file(files.write_mpi3d, "complex.npz")),
    "mpi3d_toy-npz": ("mpi3d_toy", one_file(files.write_mpi3d, "mpi3d_toy.npz", compressed=True)),
    "mpi3d_realistic-npz": ("mpi3d_realistic", one_file(files.write_mpi3d, "a.npz")),
    "mpi3d_real-npz": ("mpi3d_real", one_file(files.write_mpi3d, "mpi3d_real.npz")),
    "falcor3d-zip": ("falcor3d", lambda s, t: write_png(s, t, ".zip", *FALCOR)),
    "falcor3d-folder": ("falcor3d", lambda s, t: write_png(s, t, "", *FALCOR)),
    "falcor3d-tar": ("falcor3d", lambda s, t: write_png(s, t, ".tar", *FALCOR)),
    "isaac3d-tgz": ("isaac3d", lambda s, t: write_png(s, t, ".tar.gz", *ISAAC)),
    "isaac3d-zip": ("isaac3d", lambda s, t: write_png(s, t, ".zip", *ISAAC)),
    "smallnorb": ("smallnorb", write_norb),
    "cars3d-tgz": ("cars3d", lambda s, t: write_cars(s, t, ".tar.gz")),
    "cars3d-folder": ("cars3d", lambda s, t: write_cars(s, t, "")),
}


@pytest.mark.parametrize("case", sorted(SOURCES))
def test_what_was_published_is_what_is_read(case, tmp_path, monkeypatch):
    name, write = SOURCES[case]
    spec = files.shrink(monkeypatch, name)
    source, expected = write(spec, tmp_path)
    data = tmp_path / "data"
    folder = prepare.prepare(name, data, source, verify_checksum=False, images_per_shard=50)
    assert sorted(os.listdir(data)) == [name]
    assert os.listdir(data / name) == ["3.0.0"]

    dataset = make_dataset(name, data_dir=data)
    everything = np.arange(spec.num_images)
    np.testing.assert_array_equal(dataset.images(everything), expected)
    shuffled = np.random.default_rng(0).permutation(spec.num_images)
    np.testing.assert_array_equal(dataset.images(shuffled), expected[shuffled])

    records = tfds.builder_from_directory(folder).as_data_source("train")
    assert len(records) == spec.num_images
    for i in (0, 1, spec.num_images // 2, spec.num_images - 1):
        record, classes = records[i], spec.sources_at(i)
        np.testing.assert_array_equal(record["image"], expected[i])
        for source_name, k, value in zip(
            spec.source_names, classes, spec.values_at(classes), strict=True
        ):
            assert record[f"label_{source_name}"] == k
            assert record[f"value_{source_name}"] == np.float32(value)


def test_there_is_a_reader_for_every_dataset():
    assert set(READERS) == set(SPECS)
    with pytest.raises(UserError, match="did you mean 'isaac3d'"):
        GridBuilder("isaac", "nowhere")


@pytest.mark.parametrize("name", ["shapes3d_rendered", "dsprites_rendered"])
def test_rendered_datasets_can_be_prepared_too(name, tmp_path, monkeypatch):
    monkeypatch.setitem(SPECS, name, SPECS[name].with_image_size(16))
    images = READERS[name](SPECS[name], tmp_path, tmp_path).read(345_000, 345_100)
    rendered = make_dataset(name, image_size=16).images(np.arange(345_000, 345_100))
    np.testing.assert_array_equal(images, rendered)


def make_small(tmp_path, monkeypatch, name="shapes3d"):
    spec = files.shrink(monkeypatch, name)
    source = tmp_path / "3dshapes.h5"
    return spec, source, files.write_shapes3d(spec, source)


def test_preparing_again_changes_nothing(tmp_path, monkeypatch):
    _, source, _ = make_small(tmp_path, monkeypatch)
    arguments = ("shapes3d", tmp_path / "data", source)
    folder = prepare.prepare(*arguments, verify_checksum=False)
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    source.unlink()
    assert prepare.prepare("shapes3d", tmp_path / "data") == folder
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before


def test_an_interrupted_preparation_goes_on_where_it_stopped(tmp_path, monkeypatch):
    _, source, expected = make_small(tmp_path, monkeypatch)
    original, written = shards._write_shard, []

    def stop_in_third(spec, images, path, start, stop):
        written.append(start)
        if len(written) == 3:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        yield from original(spec, images, path, start, stop)

    monkeypatch.setattr(shards, "_write_shard", stop_in_third)
    arguments = {"verify_checksum": False, "images_per_shard": 60}
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare("shapes3d", tmp_path / "data", source, **arguments)
    assert [p.name for p in (tmp_path / "data/shapes3d").iterdir()] == [".3.0.0.partial"]
    with pytest.raises(UserError, match="is not prepared"):
        make_dataset("shapes3d", data_dir=tmp_path / "data")

    prepare.prepare("shapes3d", tmp_path / "data", source, **arguments)
    assert written == [0, 60, 120, 120, 180, 240]
    assert [p.name for p in (tmp_path / "data/shapes3d").iterdir()] == ["3.0.0"]
    images = make_dataset("shapes3d", data_dir=tmp_path / "data").images(np.arange(288))
    np.testing.assert_array_equal(images, expected)


SLOW_PREPARE = """
import sys, time
from data_pipelines import prepare, shards
from data_pipelines.specs import SPECS
from tests.data_pipelines import published_files as files

class Patch:
    setitem = staticmethod(lambda mapping, key, value: mapping.__setitem__(key, value))

files.shrink(Patch, "shapes3d")
original = shards._write_shard
def slowly(*arguments):
    yield from original(*arguments)
    time.sleep(0.3)
shards._write_shard = slowly
prepare.prepare("shapes3d", sys.argv[1], sys.argv[2], verify_checksum=False, images_per_shard=60)
"""


@pytest.mark.process
def test_killed_at_any_moment_it_goes_on_and_ends_whole(tmp_path, monkeypatch):
    spec, source, expected = make_small(tmp_path, monkeypatch)
    data = tmp_path / "data"
    rng = np.random.default_rng(0)
    kept = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW_PREPARE, str(data), str(source)],
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        deadline = time.monotonic() + 60
        while len(list(data.rglob("shard-*0"))) <= kept and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.wait()
        kept = len(list(data.rglob("shard-*0")))
        assert 0 < kept < 5
        assert not (data / "shapes3d/3.0.0").exists()
    prepare.prepare("shapes3d", data, source, verify_checksum=False, images_per_shard=60)
    assert os.listdir(data / "shapes3d") == ["3.0.0"]
    images = make_dataset("shapes3d", data_dir=data).images(np.arange(spec.num_images))
    np.testing.assert_array_equal(images, expected)


def test_what_another_source_left_is_not_mixed_in(tmp_path, monkeypatch):
    spec, source, _ = make_small(tmp_path, monkeypatch)
    original = shards._write_shard

    def stop_in_second(spec, images, path, start, stop):
        if start:
            raise KeyboardInterrupt
        yield from original(spec, images, path, start, stop)

    arguments = {"verify_checksum": False, "images_per_shard": 100}
    monkeypatch.setattr(shards, "_write_shard", stop_in_second)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare("shapes3d", tmp_path / "data", source, **arguments)
    monkeypatch.setattr(shards, "_write_shard", original)
    expected = files.write_shapes3d(spec, source, images=files.noise(spec, seed=1))
    prepare.prepare("shapes3d", tmp_path / "data", source, **arguments)
    images = make_dataset("shapes3d", data_dir=tmp_path / "data").images(np.arange(288))
    np.testing.assert_array_equal(images, expected)


def test_two_preparations_at_once_do_not_meet(tmp_path, monkeypatch):
    _, source, _ = make_small(tmp_path, monkeypatch)
    with (
        staging.staging_folder(tmp_path / "data/shapes3d/.3.0.0.partial", {}),
        pytest.raises(UserError, match="another process is preparing"),
    ):
        prepare.prepare("shapes3d", tmp_path / "data", source, verify_checksum=False)


def test_what_a_killed_publication_left_is_cleared(tmp_path, monkeypatch):
    _, source, _ = make_small(tmp_path, monkeypatch)
    leftover = tmp_path / "data/shapes3d/incomplete.ABCDEF_3.0.0"
    leftover.mkdir(parents=True)
    (leftover / "shapes3d-train.array_record-00000-of-00001").write_bytes(b"half")
    prepare.prepare("shapes3d", tmp_path / "data", source, verify_checksum=False)
    assert os.listdir(tmp_path / "data/shapes3d") == ["3.0.0"]


def test_a_full_disk_is_said_beforehand(tmp_path, monkeypatch):
    _, source, _ = make_small(tmp_path, monkeypatch)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"0\.0 GB free; shapes3d needs"):
        prepare.prepare("shapes3d", tmp_path / "data", source, verify_checksum=False)


def test_a_disk_that_fills_up_is_one_line(tmp_path, monkeypatch):
    _, source, _ = make_small(tmp_path, monkeypatch)

    def fill(spec, images, path, start, stop):
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setattr(shards, "_write_shard", fill)
    with pytest.raises(UserError, match="is full: make room and run again"):
        prepare.prepare("shapes3d", tmp_path / "data", source, verify_checksum=False)


def test_progress_shows_count_rate_and_eta(tmp_path, monkeypatch, capsys):
    _, source, _ = make_small(tmp_path, monkeypatch)
    prepare.main(["shapes3d", f"--data_dir={tmp_path}", f"--source={source}", "--no_checksum"])
    captured = capsys.readouterr()
    assert "shapes3d: 288 of 288 images (100%)" in captured.err
    assert "ETA 0:00" in captured.err
    assert captured.out == f"shapes3d: 288 images ready in {tmp_path}/shapes3d/3.0.0\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["shapes3", "--data_dir=DIR"], "did you mean 'shapes3d'"),
        (["shapes3d"], "--data_dir is required"),
        (["shapes3d", "--data_dir="], "--data_dir is required"),
        (["isaac3d", "--data_dir=DIR"], "no direct link to isaac3d is known"),
        (["shapes3d", "--data_dir=DIR", "--source=/no/such"], "no file or directory /no/such"),
        (["shapes3d", "--data_dir=DIR", "--source=/dev/zero"], "/dev/zero is neither a file nor"),
        (["shapes3d_rendered", "--data_dir=DIR", "--source=a.h5"], "prepared without --source"),
        (["smallnorb", "--data_dir=DIR", f"--source={__file__}"], "name the directory with small"),
        (["shapes3d", "--data_dir=/proc/none"], "cannot write in /proc/none"),
        (["shapes3d", "--data_dir=gs://bucket"], "is remote"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, line, tmp_path, capsys):
    arguments = [argument.replace("DIR", str(tmp_path)) for argument in arguments]
    assert run_command(prepare.main, arguments) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mpi3d_toy", ["/data/mpi3d_toy.npz", "md5:55889cb7c7dfc655d6e0277beee88868", "by hand: "]),
        ("isaac3d", ["no checksum is known", "by hand: open https://drive.google.com"]),
        ("shapes3d_rendered", ["is rendered here"]),
    ],
)
def test_it_tells_where_a_dataset_is_published(name, told, capsys):
    assert run_command(prepare.main, [name, "--where"]) == 0
    out = capsys.readouterr().out
    assert all(part in out for part in told)


def test_a_source_that_may_not_be_read_is_what_the_line_names(tmp_path, monkeypatch):
    _, source, _ = make_small(tmp_path, monkeypatch)

    def refuse(*arguments):
        raise PermissionError(13, "Permission denied", str(source))

    monkeypatch.setitem(READERS, "shapes3d", refuse)
    with pytest.raises(UserError, match=f"cannot read {source}: Permission denied"):
        prepare.prepare("shapes3d", tmp_path / "data", source, verify_checksum=False)


@pytest.mark.process
def test_the_command_needs_no_tensorflow():
    code = "import data_pipelines.prepare, sys; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
