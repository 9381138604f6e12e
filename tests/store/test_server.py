"""The store as the project's own clients see it, and what it tells of them."""

import itertools
import os
import subprocess
import sys

import google.api_core.exceptions
import pytest
import tensorstore
from etils import epath
from google.cloud import storage

from tests import runs
from tests.store.faults import Dice, Faults
from tests.store.server import CHANGES

RUN = epath.Path("gs://bucket/run")


@pytest.mark.parametrize(
    "data", [b"", b"text", b"\r\n--==0==--\n\r", bytes(range(256)) * 50_000], ids=len
)
def test_a_file_is_read_as_it_was_written(store, data):
    (RUN / "a/file").write_bytes(b"what was there before")
    (RUN / "a/file").write_bytes(data)
    assert (RUN / "a/file").read_bytes() == data
    assert store.objects.get("bucket", "run/a/file").data == data


def test_text_is_utf8(store):
    (RUN / "config.json").write_text("£ ± ε")
    assert (RUN / "config.json").read_text() == "£ ± ε"
    assert store.objects.get("bucket", "run/config.json").data == "£ ± ε".encode()


def test_a_directory_is_what_lies_below_it(store):
    RUN.mkdir(parents=True, exist_ok=True)
    assert not RUN.exists()
    for name in ("config.json", "checkpoints/10/params", "checkpoints/20/params"):
        (RUN / name).write_text("x")
    assert RUN.exists()
    assert RUN.is_dir()
    assert not (RUN / "config.json").is_dir()
    assert not (RUN / "FAILED").exists()
    assert sorted(path.name for path in RUN.iterdir()) == ["checkpoints", "config.json"]
    assert [path.name for path in (RUN / "checkpoints").iterdir()] == ["10", "20"]
    assert len(list(RUN.glob("checkpoints/*/params"))) == 2
    with pytest.raises(FileNotFoundError):
        list((RUN / "logs").iterdir())
    with pytest.raises(FileNotFoundError):
        (RUN / "FAILED").read_text()
    with pytest.raises(FileNotFoundError):
        epath.Path("gs://elsewhere/run/config.json").write_text("no such bucket")


def test_files_are_moved_and_deleted(store):
    for name in ("a", "b", "logs/train", "logs/eval"):
        (RUN / name).write_text(name)
    (RUN / "a").rename(RUN / "c")
    (RUN / "b").replace(RUN / "c")
    assert (RUN / "c").read_text() == "b"
    (RUN / "c").unlink()
    (RUN / "c").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (RUN / "c").unlink()
    (RUN / "logs").rmtree()
    assert not RUN.exists()


def test_a_reader_sees_what_another_process_has_written_since(store):
    (RUN / "checkpoints/10").write_text("x")
    assert [path.name for path in (RUN / "checkpoints").iterdir()] == ["10"]
    store.objects.put("bucket", "run/checkpoints/20", b"by a trainer beside it")
    assert (RUN / "checkpoints/20").exists()
    assert [path.name for path in (RUN / "checkpoints").iterdir()] == ["10", "20"]


def test_a_listing_comes_in_pages(store):
    names = ["a", "b/1", "b/2", "c", "d/1", "e"]
    for name in names:
        store.objects.put("bucket", name, b"")
    client = storage.Client()
    assert [blob.name for blob in client.list_blobs("bucket", page_size=2)] == names
    listing = client.list_blobs("bucket", delimiter="/", page_size=2)
    assert [blob.name for blob in listing] == ["a", "c", "e"]
    assert listing.prefixes == {"b/", "d/"}
    assert len(store.list_operations("list")) == 3 + 3
    inside = client.list_blobs("bucket", prefix="b/", start_offset="b/2")
    assert [blob.name for blob in inside] == ["b/2"]


def test_a_write_may_ask_that_nobody_wrote_before_it(store):
    bucket = storage.Client().bucket("bucket")
    bucket.blob("lease").upload_from_string("mine", if_generation_match=0)
    with pytest.raises(google.api_core.exceptions.PreconditionFailed):
        bucket.blob("lease").upload_from_string("yours", if_generation_match=0)
    found = bucket.get_blob("lease")
    with pytest.raises(google.api_core.exceptions.PreconditionFailed):
        bucket.blob("lease").delete(if_generation_match=found.generation - 1)
    found.metadata = {"owner": "me"}
    found.patch()
    assert bucket.get_blob("lease").metadata == {"owner": "me"}
    bucket.copy_blob(found, bucket, "copy")
    both = bucket.blob("both")
    both.compose([found, bucket.blob("copy")])
    assert both.download_as_bytes() == b"minemine"
    assert both.download_as_bytes(start=2, end=4) == b"nem"


def test_tensorstore_reads_ranges_and_swaps(store):
    spec = {"driver": "gcs", "bucket": "bucket", "path": "ts/"}
    kvstore = tensorstore.KvStore.open(spec).result()
    first = kvstore.write("a", b"0123456789").result()
    kvstore.write("b/c", b"x").result()
    assert kvstore.read("a", byte_range=slice(2, 5)).result().value == b"234"
    assert kvstore.list().result() == [b"a", b"b/c"]
    kvstore.write("a", b"newer", if_equal=first.generation).result()
    assert not kvstore.write("a", b"lost", if_equal=first.generation).result().generation
    assert kvstore.read("a").result().value == b"newer"
    kvstore.delete_range(tensorstore.KvStore.KeyRange("b", "c")).result()
    assert kvstore.list().result() == [b"a"]


WRITE_EVENTS = """
from tensorboardX import SummaryWriter
writer = SummaryWriter("gs://bucket/run/logs/train")
for step in range(3):
    writer.add_scalar("loss", step / 2, step)
    writer.flush()
writer.close()
"""


def run_python(code: str, environment: dict[str, str]) -> None:
    """Runs code in a process of its own, as whose first import its clients read the environment."""
    subprocess.run([sys.executable, "-c", code], env=os.environ | environment, check=True)


@pytest.mark.process
def test_tensorboard_files_are_written_whole_at_each_flush(store):
    run_python(WRITE_EVENTS, store.environment())
    (events,) = (RUN / "logs/train").iterdir()
    values = [(step, value.simple_value) for value, step in runs.read_events(events)]
    assert values == [(0, 0.0), (1, 0.5), (2, 1.0)]
    sizes = [operation.num_bytes for operation in store.list_operations("write")]
    assert len(sizes) > 3
    assert sizes == sorted(sizes)


@pytest.mark.process
def test_each_client_is_known_by_its_door(store):
    code = "from etils import epath; epath.Path('gs://bucket/by').write_text('second')"
    run_python(code, store.environment("second"))
    (RUN / "by").write_text("first")
    assert {operation.path for operation in store.list_operations(CHANGES, client="second")} == {
        "bucket/by"
    }
    assert {operation.path for operation in store.list_operations(CHANGES, client="")} == {
        "bucket/run/by"
    }
    assert store.objects.get("bucket", "by").data == b"second"


def test_a_busy_store_is_asked_again(store):
    store.set_faults(Faults(failing=0.5, matching="write", seed=6))
    (RUN / "file").write_text("whole")
    bucket = storage.Client().bucket("bucket")
    bucket.blob("other").upload_from_string("whole")
    store.set_faults(Faults())
    for name in ("run/file", "other"):
        assert store.objects.get("bucket", name).data == b"whole"
        statuses = [operation.status for operation in store.list_operations("write", name)]
        assert statuses == [503, 200]


def test_a_lost_answer_is_asked_for_again(store):
    store.set_faults(Faults(lost=0.5, matching="write", seed=26))
    (RUN / "file").write_text("whole")
    assert [operation.status for operation in store.list_operations("write", "file")] == [503, 200]
    assert (RUN / "file").read_text() == "whole"
    lease = storage.Client().bucket("bucket").blob("lease")
    with pytest.raises(google.api_core.exceptions.PreconditionFailed):
        lease.upload_from_string("mine", if_generation_match=0)  # it holds, and does not know
    assert store.objects.get("bucket", "lease").data == b"mine"


def test_latency_is_of_every_operation(store):
    store.set_faults(Faults(latency=0.02))
    for name in "ab":
        (RUN / name).write_text("x")
    began = [operation.began for operation in store.list_operations(CHANGES)]
    assert len(began) == 4
    assert all(later - earlier >= 0.02 for earlier, later in itertools.pairwise(began))


def test_what_befalls_an_operation_is_a_function_of_the_seed():
    faults = Faults(failing=0.1, lost=0.1, hanging=0.1, hang_seconds=9.0, seed=1)
    operations = [("read", f"path {index % 50}") for index in range(2_000)]
    dice, backwards = Dice(faults), Dice(faults)
    fates = [dice.roll(*operation) for operation in operations]
    assert sorted(map(str, fates)) == sorted(
        str(backwards.roll(*operation)) for operation in reversed(operations)
    )
    for befallen in (
        [fate.fails for fate in fates],
        [fate.is_lost for fate in fates],
        [fate.seconds == 9.0 for fate in fates],
    ):
        assert 0.07 < sum(befallen) / len(befallen) < 0.13
    spared = Dice(Faults(failing=1.0, matching="^write .*FAILED"))
    assert not spared.roll("read", "run/FAILED").fails
    assert spared.roll("write", "run/FAILED").fails
