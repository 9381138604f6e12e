"""The input pattern of the authors' code, for `data_pipeline.py` to run in another environment.

Needs tensorflow and numpy, nothing of this repository. Reads commands on stdin: each line is a
number of seconds; answers with a line of JSON, the images per second of that long a run and
the processor microseconds per image.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

BATCH, SHUFFLE_BUFFER = 128, 100_000


def write_records(folder: str) -> str:
    """Turn the PNG files left in ``folder`` into tfrecords, as TFDS stores them."""
    path = os.path.join(folder, "png.tfrecord")
    lengths = np.load(os.path.join(folder, "png_lengths.npy"))
    with open(os.path.join(folder, "png.bin"), "rb") as pngs, tf.io.TFRecordWriter(path) as writer:
        for length in lengths.tolist():
            image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[pngs.read(length)]))
            label = tf.train.Feature(int64_list=tf.train.Int64List(value=[0]))
            features = {"image": image} | {f"label_{i}": label for i in range(6)}
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return path


def make_batches(path: str):
    """Return the endless iterator of batches: shuffle, decode, float, batch, prefetch, numpy."""
    features = {"image": tf.io.FixedLenFeature([], tf.string)}
    features |= {f"label_{i}": tf.io.FixedLenFeature([], tf.int64) for i in range(6)}

    def decode(record):
        example = tf.io.parse_single_example(record, features)
        image = tf.io.decode_png(example.pop("image"), channels=3)
        return {"image": tf.cast(image, tf.float32) / 255.0, **example}

    dataset = tf.data.TFRecordDataset(path).repeat().shuffle(SHUFFLE_BUFFER, seed=0)
    dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(BATCH, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
    return dataset.as_numpy_iterator()


def main() -> None:
    """Answer each line of stdin with a measurement."""
    batches = make_batches(write_records(sys.argv[1]))
    next(batches)
    print(json.dumps({"tensorflow": tf.__version__}), flush=True)
    for line in sys.stdin:
        seconds, count = float(line), 0
        began, used = time.perf_counter(), time.process_time()
        while time.perf_counter() - began < seconds:
            count += len(next(batches)["image"])
        elapsed, used = time.perf_counter() - began, time.process_time() - used
        turn = {"images_per_second": count / elapsed, "processor_us": 1e6 * used / count}
        print(json.dumps(turn), flush=True)


if __name__ == "__main__":
    main()
