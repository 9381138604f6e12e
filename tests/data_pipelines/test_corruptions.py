"""Every way in which a source can be wrong: one clear line, and nothing in the final place."""

import io
import os
import stat
import tarfile
import zipfile

import h5py
import numpy as np
import pytest
from PIL import Image

from data_pipelines import prepare
from data_pipelines.formats.grid_order import find_grid_order
from data_pipelines.publication import PublishedFile
from data_pipelines.specs import SPECS
from qlae.common.errors import UserError
from tests.data_pipelines import published_files as files

HTML = b"<!DOCTYPE html>\n<html><head><title>Quota exceeded</title></head></html>"


def refuse(tmp_path, name, source, line, **kwargs):
    """Expect preparing to fail with one line that matches, leaving no trace."""
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    with pytest.raises(UserError, match=line) as caught:
        prepare.prepare(name, data, source, **({"verify_checksum": False} | kwargs))
    assert "\n" not in str(caught.value)
    assert not list(data.rglob("*"))


def cut(path, keep=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


@pytest.fixture
def shapes3d(tmp_path, monkeypatch):
    spec = files.shrink(monkeypatch, "shapes3d")
    path = tmp_path / "3dshapes.h5"
    files.write_shapes3d(spec, path)
    return spec, path


@pytest.fixture
def falcor3d(monkeypatch):
    spec = files.shrink(monkeypatch, "falcor3d")
    members, _ = files.png_members(spec, "Falcor3D_down128", "train-rec.labels")
    return spec, members


SINGLE_FILES = [
    "shapes3d",
    "dsprites",
    "mpi3d_complex",
    "mpi3d_toy",
    "falcor3d",
    "isaac3d",
    "cars3d",
]


@pytest.mark.parametrize("name", SINGLE_FILES)
@pytest.mark.parametrize(
    ("content", "line"), [(HTML, "HTML page"), (b"", "empty file"), (b"\x00" * 999, "unknown")]
)
def test_what_is_not_an_archive_at_all(name, content, line, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(content)
    refuse(tmp_path, name, source, line)


def test_html_in_place_of_one_of_several_files(tmp_path, monkeypatch):
    spec = files.shrink(monkeypatch, "smallnorb")
    folder = tmp_path / "norb"
    folder.mkdir()
    files.write_smallnorb(spec, folder)
    next(folder.glob("*training-dat*")).write_bytes(HTML)
    refuse(tmp_path, "smallnorb", folder, "HTML page")


def test_truncated_h5(tmp_path, shapes3d):
    cut(shapes3d[1])
    refuse(tmp_path, "shapes3d", shapes3d[1], "truncated or damaged")


def test_damaged_pixels_in_h5(tmp_path, shapes3d):
    _, path = shapes3d
    with h5py.File(path) as file:
        place = file["images"].id.get_chunk_info(0)
    with path.open("r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"\x00" * place.size)
    refuse(tmp_path, "shapes3d", path, "images 0 to 287 cannot be read")


@pytest.mark.parametrize("compressed", [False, True])
def test_truncated_npz(compressed, tmp_path, monkeypatch):
    spec = files.shrink(monkeypatch, "mpi3d_complex")
    files.write_mpi3d(spec, tmp_path / "a.npz", compressed)
    cut(tmp_path / "a.npz")
    refuse(tmp_path, "mpi3d_complex", tmp_path / "a.npz", "truncated or damaged")


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_pixels_in_npz(compressed, tmp_path, monkeypatch):
    spec = files.shrink(monkeypatch, "mpi3d_complex")
    path = tmp_path / "a.npz"
    files.write_mpi3d(spec, path, compressed)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 999)
    refuse(tmp_path, "mpi3d_complex", path, "cannot be read; download it again")


@pytest.mark.parametrize("kind", [".zip", ".tar", ".tar.gz"])
def test_truncated_archive(kind, tmp_path, falcor3d):
    path = tmp_path / f"archive{kind}"
    (files.write_zip if kind == ".zip" else files.write_tar)(falcor3d[1], path)
    cut(path)
    refuse(tmp_path, "falcor3d", path, "truncated or damaged")


def test_truncated_norb_and_cars(tmp_path, monkeypatch):
    spec = files.shrink(monkeypatch, "smallnorb")
    folder = tmp_path / "norb"
    folder.mkdir()
    files.write_smallnorb(spec, folder)
    cut(next(folder.glob("*testing-dat*")))
    refuse(tmp_path, "smallnorb", folder, "truncated or damaged")

    spec = files.shrink(monkeypatch, "cars3d")
    members, _ = files.car_members(spec)
    last = sorted(members)[-2]
    members[last] = members[last][:5000]
    files.write_tar(members, tmp_path / "cars.tar.gz")
    refuse(tmp_path, "cars3d", tmp_path / "cars.tar.gz", "not a whole MATLAB file")


def test_wrong_variant_by_count(tmp_path, monkeypatch):
    spec = files.shrink(monkeypatch, "mpi3d_toy")
    files.shrink(monkeypatch, "mpi3d_complex")
    files.write_mpi3d(spec, tmp_path / "a.npz")
    line = r"holds 432 images, the number of mpi3d_toy.*; mpi3d_complex has 288"
    refuse(tmp_path, "mpi3d_complex", tmp_path / "a.npz", line)


def test_wrong_variant_by_name(tmp_path, monkeypatch):
    spec = files.shrink(monkeypatch, "mpi3d_toy")
    files.shrink(monkeypatch, "mpi3d_real")
    files.write_mpi3d(spec, tmp_path / "mpi3d_toy.npz")
    refuse(tmp_path, "mpi3d_real", tmp_path / "mpi3d_toy.npz", "is mpi3d_toy by its name")


def test_wrong_dataset_in_the_right_format(tmp_path, shapes3d):
    refuse(tmp_path, "dsprites", shapes3d[1], "has no array 'imgs' .it has images, labels.")
    np.savez(tmp_path / "a.npz", pictures=np.zeros(3))
    refuse(tmp_path, "mpi3d_toy", tmp_path / "a.npz", "has no array 'images' .it has pictures.")


def test_what_has_the_name_of_an_array_and_is_none(tmp_path, shapes3d):
    spec, path = shapes3d
    for key in ("images", "labels"):
        files.write_shapes3d(spec, path)
        with h5py.File(path, "r+") as file:
            del file[key]
            file.create_group(key)
        refuse(tmp_path, "shapes3d", path, f"has no array '{key}'")


def test_an_empty_archive(tmp_path):
    np.savez(tmp_path / "a.npz")
    refuse(tmp_path, "mpi3d_toy", tmp_path / "a.npz", "has no array 'images' .it has nothing.")
    with h5py.File(tmp_path / "a.h5", "w"):
        pass
    refuse(tmp_path, "shapes3d", tmp_path / "a.h5", "has no array 'images' .it has nothing.")


def test_wrong_pixels(tmp_path, shapes3d):
    spec, path = shapes3d
    files.write_shapes3d(spec, path, images=files.noise(spec).astype(np.float32))
    refuse(tmp_path, "shapes3d", path, "has float32 images")
    files.write_shapes3d(spec, path, images=files.noise(spec)[:, :32, :32])
    refuse(tmp_path, "shapes3d", path, r"shape \(32, 32, 3\); shapes3d has uint8 \(64, 64, 3\)")
    files.write_shapes3d(spec, path, images=files.noise(spec)[:-1])
    refuse(tmp_path, "shapes3d", path, "holds 287 images; shapes3d has 288")


def test_labels_that_are_not_the_grid(tmp_path, shapes3d):
    spec, path = shapes3d
    good = spec.values_at(spec.sources_at(np.arange(spec.num_images)))
    twice = good.copy()
    twice[5] = twice[6]
    files.write_shapes3d(spec, path, labels=twice)
    refuse(tmp_path, "shapes3d", path, "1 combinations are missing and 1 occur more than once")
    files.write_shapes3d(spec, path, labels=np.where(good == good.max(), 0, good))
    refuse(tmp_path, "shapes3d", path, "3 values of shape; shapes3d has 4: it is another variant")
    files.write_shapes3d(spec, path, labels=good[:, :5])
    refuse(tmp_path, "shapes3d", path, r"labels of shape \(288, 5\)")
    files.write_shapes3d(spec, path, labels=np.where(good == good.max(), np.nan, good))
    refuse(tmp_path, "shapes3d", path, "not finite")
    files.write_shapes3d(spec, path, labels=good[::-1])
    refuse(tmp_path, "shapes3d", path, "in another order")


def test_labels_between_zero_and_one_keep_their_classes():
    # Scaling eight even values to 0..7 and rounding down gives 0 1 2 3 4 4 6 7.
    spec = SPECS["isaac3d"]
    assert len(set((np.linspace(0, 1, 8) * 7).astype(int))) == 7
    order = find_grid_order(spec, files.unit_labels(spec), "labels.npy")
    np.testing.assert_array_equal(order, np.arange(spec.num_images))


def test_missing_images(tmp_path, falcor3d):
    _, members = falcor3d
    for number in (3, 77):
        del members[f"Falcor3D_down128/images/{number:06d}.png"]
    files.write_zip(members, tmp_path / "a.zip")
    line = r"lacks 2 of 80 images, the first images/000003\.png"
    refuse(tmp_path, "falcor3d", tmp_path / "a.zip", line)


def test_too_many_images(tmp_path, falcor3d):
    _, members = falcor3d
    members["Falcor3D_down128/images/000080.png"] = b""
    files.write_tar(members, tmp_path / "a.tar")
    refuse(tmp_path, "falcor3d", tmp_path / "a.tar", "holds 81 images; falcor3d has 80")


def test_missing_or_damaged_labels(tmp_path, falcor3d):
    _, members = falcor3d
    name = "Falcor3D_down128/train-rec.labels"
    labels = members.pop(name)
    files.write_zip(members, tmp_path / "a.zip")
    refuse(tmp_path, "falcor3d", tmp_path / "a.zip", "has no train-rec.labels")
    pickled = io.BytesIO()
    np.save(pickled, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for content in (labels[:-100], pickled.getvalue(), b""):
        files.write_zip(members | {name: content}, tmp_path / "a.zip")
        refuse(tmp_path, "falcor3d", tmp_path / "a.zip", "not a whole npy file")


def test_damaged_and_oddly_sized_png(tmp_path, falcor3d):
    _, members = falcor3d
    name = "Falcor3D_down128/images/000041.png"
    good = members[name]
    files.write_zip(members | {name: good[: len(good) // 2]}, tmp_path / "a.zip")
    refuse(tmp_path, "falcor3d", tmp_path / "a.zip", "000041.png is truncated or damaged")
    small = io.BytesIO()
    Image.new("RGB", (64, 64)).save(small, "PNG")
    files.write_zip(members | {name: small.getvalue()}, tmp_path / "a.zip")
    refuse(tmp_path, "falcor3d", tmp_path / "a.zip", "000041.png is 64x64 pixels; expected 128x128")


@pytest.mark.parametrize(
    "evil", ["../evil.png", "/tmp/evil.png", "a/../../evil", "..\\evil", "C:/x"]
)
@pytest.mark.parametrize("kind", [".zip", ".tar", ".tar.gz"])
def test_members_that_would_land_outside(evil, kind, tmp_path, falcor3d):
    path = tmp_path / f"archive{kind}"
    (files.write_zip if kind == ".zip" else files.write_tar)(falcor3d[1] | {evil: b"x"}, path)
    refuse(tmp_path, "falcor3d", path, "would land outside its directory")
    assert sorted(os.listdir(tmp_path)) == [path.name, "data"]


def test_links_in_archives(tmp_path, falcor3d):
    path = tmp_path / "a.tar"
    files.write_tar(falcor3d[1], path)
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("Falcor3D_down128/images/000999.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    refuse(tmp_path, "falcor3d", path, "is a link")
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    refuse(tmp_path, "falcor3d", path, "is a link")


def test_size_and_checksum_of_the_published_file(tmp_path, shapes3d, monkeypatch):
    spec, path = shapes3d
    size = path.stat().st_size
    for known, line in (
        (PublishedFile("3dshapes.h5", (), size + 1), "is truncated"),
        (PublishedFile("3dshapes.h5", (), size - 1), "not the published file"),
        (PublishedFile("3dshapes.h5", (), size, "md5:" + "0" * 32), "damaged or another version"),
    ):
        files.publish(monkeypatch, spec, known)
        refuse(tmp_path, "shapes3d", path, line, verify_checksum=True)


def test_a_directory_without_the_file(tmp_path, shapes3d):
    empty = tmp_path / "empty"
    empty.mkdir()
    for name in [*SINGLE_FILES, "smallnorb"]:
        refuse(tmp_path, name, empty, "expected|has no|holds 0 files")


def test_specs_are_whole_again():
    assert SPECS["shapes3d"].num_images == 480_000
