"""The store as a server on loopback: `serve()` starts it, `environment()` points clients at it.

It speaks the part of Google Cloud Storage's JSON API that etils, gcsfs, google-cloud-storage and
tensorstore use, keeps objects in memory, injects faults (`faults.py`) and notes every operation.
"""

import contextlib
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from tests.store.api import Api, Call, Request, Response
from tests.store.faults import Dice, Faults
from tests.store.objects import Objects, Refusal

BUCKET = "bucket"
# Kinds of operations that change something; "part" is a piece of a write.
CHANGES = frozenset({"write", "part", "patch", "delete", "copy", "move", "compose"})


@dataclass
class Operation:
    """One operation that a client asked for, as the store saw it.

    Attributes:
        kind: "bucket", "list", "stat", "read", or one of `CHANGES`.
        path: BUCKET/NAME; of a list, its prefix; of a copy or move, where to.
        client: the name under which the client was given its address.
        num_bytes: that the request brought.
        began: in seconds of `time.monotonic`.
        status: HTTP status of the answer; 0 while it is under way.
    """

    kind: str
    path: str
    client: str
    num_bytes: int
    began: float
    status: int = 0


class StoreServer:
    """A running store, with one bucket.

    Attributes:
        objects: what it holds.
    """

    def __init__(self, faults: Faults):
        self.objects = Objects()
        self.objects.make_bucket(BUCKET)
        self.api = Api(self.objects)
        self._dice = Dice(faults)
        self._operations: list[Operation] = []
        self._doors: dict[str, _Door] = {}
        self._closed = threading.Event()

    def set_faults(self, faults: Faults) -> None:
        """What befalls operations from now on."""
        self._dice = Dice(faults)

    def list_operations(
        self, kinds: str | frozenset[str] = "", path: str = "", client: str | None = None
    ) -> list[Operation]:
        """Returns the operations so far, in order of their beginnings.

        Args:
            kinds: one kind, several, or "" for all.
            path: regular expression to be found in the path.
            client: of this one only.
        """
        wanted = {kinds} if isinstance(kinds, str) else kinds
        return [
            operation
            for operation in list(self._operations)
            if (not kinds or operation.kind in wanted)
            and re.search(path, operation.path)
            and client in (None, operation.client)
        ]

    def forget_operations(self) -> None:
        """Begins to count anew."""
        self._operations.clear()

    def address(self, client: str = "") -> str:
        """Returns the URL of a client's own door; its operations bear the client's name."""
        if client not in self._doors:
            self._doors[client] = _Door(self, client)
        return self._doors[client].origin

    def environment(self, client: str = "") -> dict[str, str]:
        """Returns environment variables that send a process's clients here, without credentials."""
        origin = self.address(client)
        return {
            "STORAGE_EMULATOR_HOST": origin,  # etils by gcsfs, tensorboardX by google-cloud-storage
            "FSSPEC_GCS_TOKEN": "anon",
            # Else gcsfs asks over gRPC what kind of bucket it has, a minute for each operation.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "TENSORSTORE_GCS_HTTP_URL": origin,  # Orbax by tensorstore
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "none",  # tensorstore's; it is sent, and not looked at
            "NO_GCE_CHECK": "true",
        }

    def answer(self, request: Request, client: str) -> Response:
        """Does what a request asks, after what befalls it; notes it."""
        try:
            call = self.api.understand(request)
        except Refusal as refusal:
            error = _refuse(refusal)
            call = Call("unknown", request.path, lambda: error)
        operation = Operation(call.kind, call.path, client, len(request.body), time.monotonic())
        self._operations.append(operation)
        fate = self._dice.roll(call.kind, call.path)
        self._closed.wait(fate.seconds)
        response = _BUSY if fate.fails else _try(call)
        if fate.is_lost:
            response = _BUSY
        operation.status = response.status
        return response

    def close(self) -> None:
        """Stops answering; nothing is kept."""
        self._closed.set()
        for door in self._doors.values():
            door.close()


@contextlib.contextmanager
def serve(faults: Faults | None = None) -> Iterator[StoreServer]:
    """Runs a store as long as the context lasts."""
    server = StoreServer(faults or Faults())
    try:
        yield server
    finally:
        server.close()


class _Door:
    """A port of its own, so that the store knows who comes."""

    def __init__(self, store: StoreServer, client: str):
        handler = type("Handler", (_Handler,), {"store": store, "client": client})
        self._server = _ThreadingServer(("127.0.0.1", 0), handler)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _ThreadingServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that went away
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store: StoreServer
    client: str

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _serve(self) -> None:
        url = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=url.path,
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers=self.headers,
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            origin=f"http://{self.headers['Host']}",
        )
        response = self.store.answer(request, self.client)
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status not in (204, 304):
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _try(call: Call) -> Response:
    try:
        return call.answer()
    except Refusal as refusal:
        return _refuse(refusal)


def _refuse(refusal: Refusal) -> Response:
    if refusal.status == 304:
        return Response(304)
    error = {"error": {"code": refusal.status, "message": str(refusal)}}
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    return Response(refusal.status, json.dumps(error).encode(), headers)


_BUSY = _refuse(Refusal(503, "the store is busy"))
