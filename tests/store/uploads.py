"""How an object's bytes arrive: in one request, as one of its parts, or over several requests."""

import dataclasses
import itertools
import json
import re
import threading
from email.message import Message
from typing import Any

from tests.store.objects import Conditions, Refusal, StoredObject

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


def split_multipart(content_type: str, body: bytes) -> tuple[dict[str, Any], str, bytes]:
    """Returns the resource, content type and data of a multipart upload.

    Lines may end with one character or with two, as some clients have it.
    """
    message = Message()
    message["content-type"] = content_type
    delimiter = b"--" + str(message.get_param("boundary")).encode()
    newline = b"\r\n" if body.startswith(delimiter + b"\r\n") else b"\n"
    start = body.index(delimiter) + len(delimiter + newline)
    middle = body.index(newline + delimiter, start)
    end = body.rindex(newline + delimiter + b"--")
    _, _, resource = body[start:middle].partition(newline * 2)
    headers, _, data = body[middle + len(newline + delimiter + newline) : end].partition(
        newline * 2
    )
    found = re.search(rb"content-type: *([^\r\n]+)", headers, re.IGNORECASE)
    return json.loads(resource), found[1].decode() if found else "", data


@dataclasses.dataclass
class Upload:
    """An object that arrives in parts; `made` when it is whole."""

    bucket: str
    name: str
    content_type: str
    metadata: dict[str, str]
    conditions: Conditions
    data: bytes = b""
    made: StoredObject | None = None

    def receive(self, content_range: str | None, part: bytes) -> bool:
        """Takes a part in; returns whether the object is whole."""
        if content_range is None:  # all at once
            self.data = part
            return True
        match = _CONTENT_RANGE.fullmatch(content_range)
        if match is None:
            raise Refusal(400, f"invalid Content-Range {content_range!r}")
        first, _, total = match.groups()
        if first is not None:
            if int(first) > len(self.data):
                raise Refusal(503, f"part at {first}, but only {len(self.data)} bytes are here")
            # A part that is sent again, after its answer was lost, is taken once.
            self.data += part[len(self.data) - int(first) :]
        return total != "*" and len(self.data) == int(total)


class Uploads:
    """The uploads under way, by id."""

    def __init__(self) -> None:
        self._uploads: dict[str, Upload] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def begin(self, upload: Upload) -> str:
        """Returns the id of a new upload."""
        with self._lock:
            upload_id = f"upload-{next(self._ids)}"
            self._uploads[upload_id] = upload
        return upload_id

    def find(self, upload_id: str) -> Upload:
        """Returns an upload; raises `Refusal` for an unknown id."""
        if upload_id not in self._uploads:
            raise Refusal(404, f"no upload {upload_id}")
        return self._uploads[upload_id]

    def end(self, upload_id: str) -> None:
        """Forgets an upload."""
        with self._lock:
            self._uploads.pop(upload_id, None)
