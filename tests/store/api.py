"""The calls of the storage JSON API that the project's clients make, without sockets or faults."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from tests.store.objects import Conditions, Objects, Refusal, StoredObject
from tests.store.uploads import Upload, Uploads, split_multipart

_BUCKETS = r"/storage/v1/b"
_BUCKET = _BUCKETS + r"/([^/?]+)"
_OBJECTS = _BUCKET + r"/o"
_OBJECT = _OBJECTS + r"/([^/?]+)"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Request:
    """One HTTP request. `path` is still quoted; `origin` is where the client reached the store."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    origin: str

    @property
    def conditions(self) -> Conditions:
        """The preconditions in the query."""
        names = ("ifGenerationMatch", "ifGenerationNotMatch", "ifMetagenerationMatch")
        return Conditions(*(int(self.query[n]) if n in self.query else None for n in names))

    @property
    def resource(self) -> dict[str, Any]:
        """The body as JSON, {} if there is none."""
        return json.loads(self.body) if self.body else {}


@dataclass(frozen=True)
class Response:
    """One HTTP response."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A request understood: what it does, to which path, and how (when it is let)."""

    kind: str
    path: str
    answer: Callable[[], Response]


class Api:
    """Understands requests on objects."""

    def __init__(self, objects: Objects):
        self._objects, self._uploads = objects, Uploads()
        self._routes: tuple[tuple[str, str, Callable[..., Call]], ...] = (
            ("GET", _BUCKETS, self._list_buckets),
            ("POST", _BUCKETS, self._make_bucket),
            ("GET", _BUCKET, self._get_bucket),
            ("GET", _OBJECTS, self._list),
            ("GET", "(?:/download)?" + _OBJECT, self._get),
            ("PATCH", _OBJECT, self._patch),
            ("DELETE", _OBJECT, self._delete),
            ("POST", _OBJECT + r"/(?:rewriteTo|copyTo)/b/([^/]+)/o/([^/]+)", self._copy),
            ("POST", _OBJECT + r"/moveTo/o/([^/]+)", self._move),
            ("POST", _OBJECT + "/compose", self._compose),
            ("POST|PUT|DELETE", "/upload" + _OBJECTS, self._upload),
        )

    def understand(self, request: Request) -> Call:
        """Returns the call that a request makes; raises `Refusal` for one that is not known."""
        for methods, pattern, route in self._routes:
            match = re.fullmatch(pattern, request.path)
            if match and request.method in methods.split("|"):
                return route(request, *map(unquote, match.groups()))
        raise Refusal(501, f"not implemented: {request.method} {request.path}")

    def _list_buckets(self, request: Request) -> Call:
        def answer() -> Response:
            items = [_to_bucket(name) for name in self._objects.list_buckets()]
            return _to_response({"kind": "storage#buckets", "items": items})

        return Call("bucket", "", answer)

    def _make_bucket(self, request: Request) -> Call:
        bucket = request.resource["name"]

        def answer() -> Response:
            self._objects.make_bucket(bucket)
            return _to_response(_to_bucket(bucket))

        return Call("bucket", bucket, answer)

    def _get_bucket(self, request: Request, bucket: str) -> Call:
        def answer() -> Response:
            self._objects.in_bucket(bucket)
            return _to_response(_to_bucket(bucket))

        return Call("bucket", bucket, answer)

    def _list(self, request: Request, bucket: str) -> Call:
        query = request.query
        prefix = query.get("prefix", "")

        def answer() -> Response:
            page = self._objects.list(
                bucket,
                prefix=prefix,
                delimiter=query.get("delimiter", ""),
                start=query.get("startOffset", ""),
                end=query.get("endOffset", ""),
                token=unquote(query.get("pageToken", "")),
                most=min(int(query.get("maxResults", 1000)), 1000),
            )
            found = {
                "kind": "storage#objects",
                "items": [item.to_json() for item in page.objects],
                "prefixes": page.prefixes,
            }
            token = {"nextPageToken": quote(page.next_token)} if page.next_token else {}
            return _to_response({key: value for key, value in found.items() if value} | token)

        return Call("list", f"{bucket}/{prefix or query.get('startOffset', '')}", answer)

    def _get(self, request: Request, bucket: str, name: str) -> Call:
        is_media = request.query.get("alt") == "media"

        def answer() -> Response:
            found = self._objects.get(bucket, name, request.conditions)
            if not is_media:
                return _to_response(found.to_json())
            return _to_media(found, request.headers.get("Range"))

        return Call("read" if is_media else "stat", f"{bucket}/{name}", answer)

    def _patch(self, request: Request, bucket: str, name: str) -> Call:
        def answer() -> Response:
            metadata = request.resource.get("metadata", {})
            patched = self._objects.patch(bucket, name, metadata, request.conditions)
            return _to_response(patched.to_json())

        return Call("patch", f"{bucket}/{name}", answer)

    def _delete(self, request: Request, bucket: str, name: str) -> Call:
        def answer() -> Response:
            self._objects.delete(bucket, name, request.conditions)
            return Response(204)

        return Call("delete", f"{bucket}/{name}", answer)

    def _copy(self, request: Request, bucket: str, name: str, to_bucket: str, to: str) -> Call:
        def answer() -> Response:
            found = self._objects.get(bucket, name)
            attributes = {"content_type": found.content_type, "metadata": found.metadata}
            copied = self._objects.put(
                to_bucket, to, found.data, request.conditions, **attributes
            ).to_json()
            if "/copyTo/" in request.path:
                return _to_response(copied)
            size = copied["size"]
            rewritten = {"kind": "storage#rewriteResponse", "done": True, "resource": copied}
            return _to_response(rewritten | {"totalBytesRewritten": size, "objectSize": size})

        return Call("copy", f"{to_bucket}/{to}", answer)

    def _move(self, request: Request, bucket: str, name: str, to: str) -> Call:
        def answer() -> Response:
            moved = self._objects.move(bucket, name, to, request.conditions)
            return _to_response(moved.to_json())

        return Call("move", f"{bucket}/{to}", answer)

    def _compose(self, request: Request, bucket: str, name: str) -> Call:
        def answer() -> Response:
            sources = [source["name"] for source in request.resource["sourceObjects"]]
            data = b"".join(self._objects.get(bucket, source).data for source in sources)
            made = self._objects.put(bucket, name, data, request.conditions)
            return _to_response(made.to_json())

        return Call("compose", f"{bucket}/{name}", answer)

    def _upload(self, request: Request, bucket: str) -> Call:
        if "upload_id" in request.query:
            return self._continue_upload(request, request.query["upload_id"])
        if request.query.get("uploadType") == "resumable":
            return self._begin_upload(request, bucket)
        if request.query.get("uploadType") == "multipart":
            resource, content_type, data = split_multipart(
                request.headers["Content-Type"], request.body
            )
        else:
            resource, data = {}, request.body
            content_type = request.headers.get("Content-Type", "")
        upload = _make_upload(request, bucket, resource, content_type)
        upload.data = data
        return Call("write", f"{bucket}/{upload.name}", lambda: self._finish(upload))

    def _begin_upload(self, request: Request, bucket: str) -> Call:
        content_type = request.headers.get("X-Upload-Content-Type", "")
        upload = _make_upload(request, bucket, request.resource, content_type)

        def answer() -> Response:
            query = f"uploadType=resumable&upload_id={self._uploads.begin(upload)}"
            location = f"{request.origin}/upload/storage/v1/b/{quote(bucket)}/o?{query}"
            return Response(headers={"Location": location})

        return Call("part", f"{bucket}/{upload.name}", answer)

    def _continue_upload(self, request: Request, upload_id: str) -> Call:
        upload = self._uploads.find(upload_id)
        path = f"{upload.bucket}/{upload.name}"
        if request.method == "DELETE":

            def cancel() -> Response:
                self._uploads.end(upload_id)
                return Response(499)

            return Call("part", path, cancel)

        content_range = request.headers.get("Content-Range")

        def answer() -> Response:
            if upload.made or upload.receive(content_range, request.body):
                return self._finish(upload)  # once: an answer that was lost is given again
            range_header = {"Range": f"bytes=0-{len(upload.data) - 1}"} if upload.data else {}
            return Response(308, headers=range_header)

        is_last = content_range is None or not content_range.endswith("*")
        return Call("write" if is_last else "part", path, answer)

    def _finish(self, upload: Upload) -> Response:
        if upload.made is None:
            upload.made = self._objects.put(
                upload.bucket,
                upload.name,
                upload.data,
                upload.conditions,
                content_type=upload.content_type or "application/octet-stream",
                metadata=upload.metadata,
            )
        return _to_response(upload.made.to_json())


def _make_upload(
    request: Request, bucket: str, resource: Mapping[str, Any], content_type: str
) -> Upload:
    name = request.query.get("name") or resource.get("name")
    if not name:
        raise Refusal(400, "an upload without a name")
    metadata = resource.get("metadata", {})
    content_type = resource.get("contentType") or content_type
    return Upload(bucket, name, content_type, metadata, request.conditions)


def _to_bucket(bucket: str) -> dict[str, Any]:
    return {"kind": "storage#bucket", "id": bucket, "name": bucket, "location": "US"}


def _to_response(resource: dict[str, Any]) -> Response:
    body = json.dumps(resource).encode()
    return Response(body=body, headers={"Content-Type": "application/json; charset=UTF-8"})


def _to_media(found: StoredObject, range_header: str | None) -> Response:
    """Returns an object's bytes, or the range of them that was asked for."""
    size = len(found.data)
    headers = {
        "Content-Type": found.content_type,
        "ETag": str(found.generation),
        "X-Goog-Generation": str(found.generation),
        "X-Goog-Metageneration": str(found.metageneration),
        "X-Goog-Hash": f"crc32c={found.crc32c},md5={found.md5}",
        "X-Goog-Stored-Content-Length": str(size),
    }
    match = _RANGE.fullmatch(range_header or "")
    if match is None:
        return Response(200, found.data, headers)
    first, last = match.groups()
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= size:
        raise Refusal(416, f"range {range_header} of {size} bytes is not satisfiable")
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Response(206, found.data[start:stop], headers)
