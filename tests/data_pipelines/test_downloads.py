"""Downloads from a local server: resumed, checked, and never half there."""

import hashlib
import http.server
import threading

import pytest

from data_pipelines import prepare
from data_pipelines.downloads import fetch
from data_pipelines.publication import PublishedFile
from qlae.common.errors import UserError
from tests.data_pipelines import published_files as files

CONTENT = bytes(range(256)) * 5000
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Handler(http.server.BaseHTTPRequestHandler):
    content, stop_after, status, ranges = CONTENT, None, 200, True

    def do_GET(self):
        cls, start = type(self), 0
        wanted = self.headers.get("Range")
        cls.requested.append(wanted)
        if cls.status != 200:
            self.send_error(cls.status)
            return
        if wanted and cls.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(cls.content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(cls.content) - start))
        self.end_headers()
        self.wfile.write(cls.content[start : cls.stop_after])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    handler = type("OwnHandler", (Handler,), {"requested": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield handler, f"http://127.0.0.1:{running.server_port}/file.bin"
        running.shutdown()


def test_fetches_once(server, tmp_path):
    handler, url = server
    download = PublishedFile("file.bin", (url,), len(CONTENT), SHA256)
    for _ in range(2):
        assert fetch(download, tmp_path).read_bytes() == CONTENT
    assert handler.requested == [None]
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("ranges", [True, False])
def test_goes_on_after_an_interruption(ranges, server, tmp_path):
    handler, url = server
    handler.stop_after, handler.ranges = 500_000, ranges
    download = PublishedFile("file.bin", (url,), len(CONTENT), SHA256)
    with pytest.raises(UserError, match="run again to go on from here"):
        fetch(download, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin.part"]
    handler.stop_after = None
    assert fetch(download, tmp_path).read_bytes() == CONTENT
    assert handler.requested == [None, "bytes=500000-"]


def test_goes_on_when_all_was_there_but_the_name(server, tmp_path):
    _, url = server
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert fetch(PublishedFile("file.bin", (url,)), tmp_path).read_bytes() == CONTENT


def test_html_instead_of_the_file(server, tmp_path):
    handler, url = server
    handler.content = b"<html><body>Sign in to continue</body></html>"
    with pytest.raises(UserError, match="answered with an HTML page") as caught:
        fetch(PublishedFile("file.bin", (url,)), tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("size", "digest", "line"),
    [
        (len(CONTENT) + 1, None, "is truncated"),
        (None, "md5:" + "0" * 32, "expected 0000"),
    ],
)
def test_other_bytes_than_published(size, digest, line, server, tmp_path):
    with pytest.raises(UserError, match=line):
        fetch(PublishedFile("file.bin", (server[1],), size, digest), tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_such_file_and_no_server(server, tmp_path):
    handler, url = server
    handler.status = 404
    with pytest.raises(UserError, match=r"Not Found.*name it with --source"):
        fetch(PublishedFile("file.bin", (url,)), tmp_path)
    with pytest.raises(UserError, match=r"cannot download http://127\.0\.0\.1:9/"):
        fetch(PublishedFile("file.bin", ("http://127.0.0.1:9/",)), tmp_path)


def test_a_mirror_goes_on_where_the_first_link_failed(server, tmp_path):
    handler, url = server
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    dead = "http://127.0.0.1:9/file.bin"
    file = PublishedFile("file.bin", (dead, url), len(CONTENT), SHA256)
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    assert handler.requested == ["bytes=1000-"]
    handler.status = 404
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9.*; .*Not Found.*or ask them, then name"):
        fetch(PublishedFile("other.bin", (dead, url)), tmp_path, "ask them")


def test_prepare_downloads_where_a_link_is_known(server, tmp_path, monkeypatch):
    handler, url = server
    spec = files.shrink(monkeypatch, "shapes3d")
    files.write_shapes3d(spec, tmp_path / "origin.h5")
    handler.content = (tmp_path / "origin.h5").read_bytes()
    digest = f"md5:{hashlib.md5(handler.content).hexdigest()}"
    files.publish(
        monkeypatch, spec, PublishedFile("3dshapes.h5", (url,), len(handler.content), digest)
    )
    folder = prepare.prepare("shapes3d", tmp_path / "data")
    assert folder.name == "3.0.0"
    assert (tmp_path / "data/downloads/shapes3d/3dshapes.h5").exists()
