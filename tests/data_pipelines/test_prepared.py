"""Reading prepared folders: our own, and those that TFDS' stock builders make elsewhere."""

import io
import json
import os
import struct

import fsspec.config
import fsspec.implementations.memory
import numpy as np
import pytest
from array_record.python import array_record_module
from etils import epath
from PIL import Image

from data_pipelines import example_proto, prepare
from data_pipelines.datasets import make_dataset
from data_pipelines.pipeline import make_train_iterator
from data_pipelines.prepared import MemoryDataset, open_prepared
from data_pipelines.splits import SplitOptions, make_split
from qlae.common.errors import UserError
from tests.data_pipelines import published_files as files


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user_cache"))


def write_stock(spec, data_dir, file_format, images, num_shards=2):
    """Write what the stock builder prepares: shuffled, images as PNG, in either format."""
    folder = data_dir / spec.name / "2.0.0"
    folder.mkdir(parents=True)
    order = np.random.default_rng(7).permutation(spec.num_images)
    lengths = []
    for shard, indices in enumerate(np.array_split(order, num_shards)):
        name = f"{spec.name}-train.{file_format}-{shard:05d}-of-{num_shards:05d}"
        records = []
        for i in indices:
            png = io.BytesIO()
            Image.fromarray(images[i].squeeze()).save(png, "PNG")
            classes = spec.sources_at(i)
            labels = {f"label_{n}": int(c) for n, c in zip(spec.source_names, classes, strict=True)}
            values = {f"value_{n}": 0.5 for n in spec.source_names}
            records.append(example_proto.encode_example(png.getvalue(), labels, values))
        write_records(folder / name, file_format, records)
        lengths.append(str(len(indices)))
    info = {
        "name": spec.name,
        "fileFormat": file_format,
        "splits": [{"name": "train", "shardLengths": lengths}],
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def write_records(path, file_format, records):
    if file_format == "array_record":
        writer = array_record_module.ArrayRecordWriter(os.fspath(path), "group_size:1")
        for record in records:
            writer.write(record)
        writer.close()
        return
    with path.open("wb") as file:
        for record in records:
            file.write(struct.pack("<QI", len(record), 0) + record + struct.pack("<I", 0))


@pytest.mark.parametrize("file_format", ["array_record", "tfrecord"])
@pytest.mark.parametrize("name", ["shapes3d", "dsprites"])
def test_what_a_stock_builder_prepared_is_read_as_it_is(name, file_format, tmp_path, monkeypatch):
    spec = files.shrink(monkeypatch, name)
    channels = spec.image_shape[-1]
    images = files.noise(spec, channels=channels)
    stored = (images > 127).astype(np.uint8) if spec.binary else images
    expected = stored * np.uint8(255) if spec.binary else images
    write_stock(spec, tmp_path, file_format, stored)
    for _ in range(2):  # the second time the found order comes from the cache
        dataset = make_dataset(name, data_dir=tmp_path)
        images = dataset.images(np.arange(spec.num_images))
        np.testing.assert_array_equal(images, expected)
    assert len(list((tmp_path / "user_cache").rglob("*-order-*.npy"))) == 1


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    spec = files.shrink(monkeypatch, "shapes3d")
    images = files.noise(spec)
    write_stock(spec, tmp_path, "tfrecord", images)
    dataset = open_prepared(spec, tmp_path, cache_dir="/proc/none")
    np.testing.assert_array_equal(dataset.images(np.arange(spec.num_images)), images)


def prepare_small(tmp_path, monkeypatch):
    spec = files.shrink(monkeypatch, "shapes3d")
    images = files.write_shapes3d(spec, tmp_path / "a.h5")
    folder = prepare.prepare(
        "shapes3d", tmp_path / "data", tmp_path / "a.h5", verify_checksum=False, images_per_shard=90
    )
    return spec, images, folder


def test_the_newest_version_wins_and_a_folder_may_be_named_itself(tmp_path, monkeypatch):
    spec, images, folder = prepare_small(tmp_path, monkeypatch)
    write_stock(spec, tmp_path / "data", "tfrecord", 255 - images)
    for data_dir in (tmp_path / "data", folder, str(folder)):
        dataset = make_dataset("shapes3d", data_dir=data_dir)
        np.testing.assert_array_equal(dataset.images(np.arange(288)), images)
    older = make_dataset("shapes3d", data_dir=tmp_path / "data/shapes3d/2.0.0")
    np.testing.assert_array_equal(older.images(np.arange(288)), 255 - images)


@pytest.mark.parametrize("cache", ["none", "disk", "ram"])
def test_every_cache_gives_the_same_images(cache, tmp_path, monkeypatch):
    spec, images, folder = prepare_small(tmp_path, monkeypatch)
    dataset = open_prepared(spec, tmp_path / "data", cache, tmp_path / "cache")
    np.testing.assert_array_equal(dataset.images(np.arange(288)), images)
    assert isinstance(dataset, MemoryDataset) == (cache == "ram")
    copied = sorted(p.name for p in (tmp_path / "cache").rglob("*") if p.is_file())
    assert copied == (sorted(os.listdir(folder)) if cache == "disk" else [])


def test_a_copy_is_made_once_and_completed_when_damaged(tmp_path, monkeypatch):
    spec, images, _ = prepare_small(tmp_path, monkeypatch)
    arguments = (spec, tmp_path / "data", "disk", tmp_path / "cache")
    open_prepared(*arguments)
    copies = [p for p in (tmp_path / "cache").rglob("*array_record*")]
    before = [p.stat().st_mtime_ns for p in copies]
    open_prepared(*arguments)
    assert [p.stat().st_mtime_ns for p in copies] == before
    copies[0].write_bytes(b"half")
    dataset = open_prepared(*arguments)
    np.testing.assert_array_equal(dataset.images(np.arange(288)), images)


class Bucket(fsspec.implementations.memory.MemoryFileSystem):
    store, pseudo_dirs, cachable = {}, [""], False

    def __init__(self):
        super().__init__()
        self.opened = []

    def open(self, path, mode="rb", **kwargs):
        self.opened.append(os.path.basename(path))
        return super().open(path, mode, **kwargs)


@pytest.fixture
def remote(tmp_path, monkeypatch):
    spec, images, folder = prepare_small(tmp_path, monkeypatch)
    bucket = Bucket()
    for path in folder.iterdir():
        bucket.pipe_file(f"gs://bucket/data/shapes3d/3.0.0/{path.name}", path.read_bytes())
    monkeypatch.setattr(epath.backend.fsspec_backend, "_get_filesystem", lambda name: bucket)
    bucket.opened.clear()
    return spec, images, folder, bucket


@pytest.fixture(autouse=True)
def public_bucket(monkeypatch):
    """No bucket here asks for credentials, which this machine need not have."""
    monkeypatch.setitem(fsspec.config.conf.setdefault("gcs", {}), "token", "anon")


@pytest.mark.parametrize("cache", ["auto", "disk", "ram"])
def test_remote_data_is_copied_to_this_host_once(cache, tmp_path, remote):
    spec, images, folder, bucket = remote
    for _ in range(2):
        dataset = open_prepared(spec, "gs://bucket/data", cache, tmp_path / "cache")
        np.testing.assert_array_equal(dataset.images(np.arange(288)), images)
        assert [bucket.opened.count(p.name) for p in folder.iterdir()] == [1] * 6
    with pytest.raises(UserError, match="is not prepared in gs://bucket/other"):
        open_prepared(spec, "gs://bucket/other")


def test_remote_data_that_must_not_be_copied_is_refused(tmp_path, remote):
    _, _, _, bucket = remote
    with pytest.raises(UserError, match="is remote and cannot be read in place"):
        make_dataset("shapes3d", data_dir="gs://bucket/data", cache="none")
    assert bucket.opened == []
    assert not (tmp_path / "user_cache").exists()


def test_remote_data_without_its_library_is_one_line(tmp_path, monkeypatch):
    def refuse(name):
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(epath.backend.fsspec_backend, "_get_filesystem", refuse)
    with pytest.raises(UserError, match="cannot read gs://bucket/data: Please install gcsfs"):
        make_dataset("shapes3d", data_dir="gs://bucket/data")


def test_pipeline_over_a_prepared_dataset(tmp_path, monkeypatch):
    spec, images, _ = prepare_small(tmp_path, monkeypatch)
    dataset = make_dataset("shapes3d", data_dir=tmp_path / "data")
    split = make_split(spec, SplitOptions(num_validation=30, num_test=30))
    arguments = {"batch_size": 43, "seed": 1}
    batches = make_train_iterator(dataset, split, **arguments)
    order = make_train_iterator(dataset, split, emit="index", **arguments)
    for _ in range(12):
        np.testing.assert_array_equal(next(batches)["image"], images[next(order)["index"]])


def test_rendering_in_the_step_is_refused_for_data_on_disk(tmp_path, monkeypatch):
    prepare_small(tmp_path, monkeypatch)
    dataset = make_dataset("shapes3d", data_dir=tmp_path / "data")
    with pytest.raises(UserError, match="emit='image'"):
        dataset.render(np.arange(3))


def damage_lengths(folder):
    info = json.loads((folder / "dataset_info.json").read_text())
    info["splits"][0]["shardLengths"][:2] = ["89", "91"]
    (folder / "dataset_info.json").write_text(json.dumps(info))


def rename_dataset(folder):
    text = (folder / "dataset_info.json").read_text()
    (folder / "dataset_info.json").write_text(text.replace('"shapes3d"', '"dsprites"'))


def change_format(folder):
    text = (folder / "dataset_info.json").read_text()
    (folder / "dataset_info.json").write_text(text.replace('"array_record"', '"parquet"'))
    for path in folder.glob("*array_record*"):
        path.rename(folder / path.name.replace("array_record", "parquet"))


def cut_shard(folder):
    path = next(folder.glob("*00001-of*"))
    path.write_bytes(path.read_bytes()[:70_000])


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda f: next(f.glob("*00001-of*")).unlink(), "has 3 of 4 array_record files"),
        (lambda f: (f / "dataset_info.json").write_text("{"), "is not that of a TFDS dataset"),
        (damage_lengths, "is damaged: it holds 90 records where 89 were written"),
        (rename_dataset, "holds dsprites; expected shapes3d"),
        (change_format, "is stored as parquet, which cannot be read here"),
        (cut_shard, "is damaged"),
    ],
)
def test_damaged_folders_are_one_clear_line(damage, line, tmp_path, monkeypatch):
    _, _, folder = prepare_small(tmp_path, monkeypatch)
    damage(folder)
    with pytest.raises(UserError, match=line) as caught:
        make_dataset("shapes3d", data_dir=tmp_path / "data")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=line):
        prepare.prepare("shapes3d", tmp_path / "data")


def test_flipped_bits_are_noticed_never_read(tmp_path, monkeypatch):
    spec, images, folder = prepare_small(tmp_path, monkeypatch)
    path = next(folder.glob("*00001-of*"))
    whole, rng, noticed = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            read = open_prepared(spec, folder).images(np.arange(spec.num_images))
        except UserError as error:
            noticed += "is damaged" in str(error)
        else:
            np.testing.assert_array_equal(read, images)  # the bit was padding
    assert noticed > 20


def test_truncated_and_overlong_tfrecord(tmp_path, monkeypatch):
    spec = files.shrink(monkeypatch, "shapes3d")
    folder = write_stock(spec, tmp_path, "tfrecord", files.noise(spec))
    path = next(folder.glob("*00001-of*"))
    whole = path.read_bytes()
    for content, line in (
        (whole[:-50], "ends within record 143"),
        (whole * 2, "more than the 144"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=line):
            make_dataset("shapes3d", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({}, "is not prepared in .*: run python -m data_pipelines.prepare shapes3d"),
        ({"image_size": 32}, "it is prepared at 64 pixels"),
        ({"cache": "dsk"}, "cache must be"),
    ],
)
def test_bad_requests_are_one_clear_line(arguments, line, tmp_path):
    with pytest.raises(UserError, match=line) as caught:
        make_dataset("shapes3d", data_dir=tmp_path, **arguments)
    assert "\n" not in str(caught.value)
