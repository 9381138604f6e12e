"""Records as TFDS writes them, without TensorFlow; damaged ones never crash the reader."""

import contextlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer

from data_pipelines import example_proto
from qlae.common.errors import UserError

IMAGE = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
FEATURES = tfds.features.FeaturesDict(
    {
        "image": tfds.features.Tensor(shape=(8, 8, 3), dtype=np.uint8, encoding="bytes"),
        "label_object": tfds.features.ClassLabel(num_classes=183),
        "label_zero": tfds.features.ClassLabel(num_classes=5),
        "value_object": tfds.features.Scalar(np.float32),
    }
)
EXAMPLE = {"image": IMAGE, "label_object": 182, "label_zero": 0, "value_object": 0.25}


def tfds_record():
    serializer = example_serializer.ExampleSerializer(FEATURES.get_serialized_info())
    return serializer.serialize_example(FEATURES.encode_example(EXAMPLE))


def own_record():
    ints = {"label_object": 182, "label_zero": 0}
    return example_proto.encode_example(IMAGE.tobytes(), ints, {"value_object": 0.25})


@pytest.mark.parametrize("make", [tfds_record, own_record])
def test_reads_what_either_serializer_wrote(make):
    record = make()
    assert example_proto.read_bytes(record, "image") == IMAGE.tobytes()
    assert example_proto.read_ints(record, ("label_object", "label_zero")) == [182, 0]
    marker = example_proto.bytes_marker("image", IMAGE.size)
    place = record.find(marker) + len(marker)
    assert record[place : place + IMAGE.size] == IMAGE.tobytes()


def test_writes_the_message_that_tfds_writes():
    from tensorflow_datasets.proto import tf_example_pb2

    messages = [tf_example_pb2.Example.FromString(r) for r in (own_record(), tfds_record())]
    assert messages[0] == messages[1]


def test_absent_and_mistyped_features_are_one_line():
    for call in (
        lambda: example_proto.read_bytes(own_record(), "picture"),
        lambda: example_proto.read_bytes(own_record(), "label_zero"),
        lambda: example_proto.read_ints(own_record(), ("value_object",)),
    ):
        with pytest.raises(UserError):
            call()


def test_damaged_records_raise_a_user_error_or_read_something():
    record, rng = own_record(), np.random.default_rng(0)
    for _ in range(2000):
        damaged = bytearray(record[: rng.integers(1, len(record) + 1)])
        for place in rng.integers(0, len(damaged), 3):
            damaged[place] = rng.integers(256)
        with contextlib.suppress(UserError):
            example_proto.read_bytes(bytes(damaged), "image")
            example_proto.read_ints(bytes(damaged), ("label_object", "label_zero"))
