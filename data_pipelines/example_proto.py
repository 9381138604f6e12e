"""Read the few fields we need of a serialized tf.train.Example, and write ours, without TensorFlow.

An Example is one map from feature name to a list of bytes, floats or integers, in the protocol
buffer wire format; only its layout is relied on, so records of any TFDS builder can be read.
"""

from __future__ import annotations

import functools
import struct

from qlae.common.errors import UserError

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_LENGTH_DELIMITED = 2


def read_bytes(record: bytes, name: str) -> bytes:
    """Returns the first bytes value of feature `name`; an empty list counts as no bytes.

    Raises:
        UserError: the record is not an Example, or has no such feature of bytes.
    """
    kind, start, end = _find_feature(record, name)
    if kind != _BYTES_LIST:
        raise UserError(f"feature {name!r} of a record does not hold bytes")
    for _, value_start, value_end in _fields(record, start, end):
        return record[value_start:value_end]
    return b""


def read_ints(record: bytes, names: tuple[str, ...]) -> list[int]:
    """Returns the first integer of each feature in `names`; an empty list counts as 0.

    Raises:
        UserError: the record is not an Example, or has no such feature of integers.
    """
    values = []
    features = _all_features(record)
    for name in names:
        if name not in features or features[name][0] != _INT64_LIST:
            raise UserError(f"a record has no integer feature {name!r}")
        _, start, end = features[name]
        values.append(0)
        for _, value_start, value_end in _fields(record, start, end):
            values[-1] = _varint(record, value_start)[0] if value_start < value_end else 0
            break
    return values


@functools.cache
def bytes_marker(name: str, size: int) -> bytes:
    """Returns what precedes the `size` bytes of feature `name` in every record.

    Searching for it is some ten times faster than walking through the record.
    """
    value = b"\x0a" + _encode_varint(size)
    bytes_list = b"\x0a" + _encode_varint(len(value) + size) + value
    feature = b"\x12" + _encode_varint(len(bytes_list) + size) + bytes_list
    return b"\x0a" + _encode_varint(len(name)) + name.encode() + feature


def _all_features(record: bytes) -> dict[str, tuple[int, int, int]]:
    """Returns where each feature's list lies: name to (kind of list, start, end)."""
    features = {}
    for _, start, end in _fields(record, 0, len(record)):
        for _, entry_start, entry_end in _fields(record, start, end):
            parts = {number: (a, b) for number, a, b in _fields(record, entry_start, entry_end)}
            if 1 not in parts or 2 not in parts:
                continue
            for kind, a, b in _fields(record, *parts[2]):
                features[record[slice(*parts[1])].decode(errors="replace")] = (kind, a, b)
    return features


def _find_feature(record: bytes, name: str) -> tuple[int, int, int]:
    features = _all_features(record)
    if name not in features:
        raise UserError(f"a record has no feature {name!r}; it has {', '.join(sorted(features))}")
    return features[name]


def _fields(record: bytes, start: int, end: int):
    """Yields (field number, start, end) of each length-delimited or varint field."""
    while start < end:
        tag, start = _varint(record, start)
        if tag & 7 == _LENGTH_DELIMITED:
            length, start = _varint(record, start)
            stop = start + length
        elif tag & 7 == 0:
            _, stop = _varint(record, start)
        elif tag & 7 == 5:
            stop = start + 4
        else:
            raise UserError("a record is not a tf.train.Example: unknown wire type")
        if stop > end:
            raise UserError("a record is not a whole tf.train.Example: a field runs past its end")
        yield tag >> 3, start, stop
        start = stop


def _varint(record: bytes, position: int) -> tuple[int, int]:
    """Decodes one base-128 number; returns it and the position after it."""
    value = shift = 0
    while True:
        if position >= len(record) or shift > 63:
            raise UserError("a record is not a whole tf.train.Example: a number is cut off")
        byte = record[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def encode_example(raw: bytes, ints: dict[str, int], floats: dict[str, float]) -> bytes:
    """Serializes one example: bytes under `image`, and integers and floats under their names.

    What TFDS' own serializer writes, some ten times faster; the image comes last, so that its
    marker is found early.
    """
    parts = [_encode_feature(name, _INT64_LIST, _encode_varint(v)) for name, v in ints.items()]
    parts += [
        _encode_feature(name, _FLOAT_LIST, struct.pack("<f", v)) for name, v in floats.items()
    ]
    entry = bytes_marker("image", len(raw))
    parts.append(b"\x0a" + _encode_varint(len(entry) + len(raw)) + entry)
    length = sum(map(len, parts)) + len(raw)
    return b"".join([b"\x0a", _encode_varint(length), *parts, raw])


@functools.lru_cache(maxsize=1 << 14)
def _encode_feature(name: str, kind: int, packed: bytes) -> bytes:
    """Returns one entry of the features' map: a list of a single number."""
    values = _delimited(1, packed)
    entry = _delimited(1, name.encode()) + _delimited(2, _delimited(kind, values))
    return _delimited(1, entry)


def _delimited(field: int, payload: bytes) -> bytes:
    return bytes([field << 3 | _LENGTH_DELIMITED]) + _encode_varint(len(payload)) + payload
