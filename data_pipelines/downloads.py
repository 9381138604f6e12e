"""Fetch a published file where a link is known: resumable, checked, and never half there."""

from __future__ import annotations

import dataclasses
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from data_pipelines.formats import checks
from data_pipelines.progress import Progress
from qlae.common.errors import UserError

_TIMEOUT = 60  # seconds without an answer
_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Download:
    """A published file: where it is, and its size and checksum where they are known."""

    url: str
    filename: str
    size: int | None = None
    digest: str | None = None


def fetch(download: Download, folder: Path) -> Path:
    """Return the local copy of ``download`` in ``folder``, fetching what is missing of it.

    Raises:
        UserError: no answer, a web page instead of the file, or not the published bytes.
    """
    target = folder / download.filename
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{download.filename}.part"
        try:
            _fetch_rest(download, part)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
            reason = getattr(error, "reason", None) or error
            raise UserError(
                f"cannot download {download.url} ({reason}): run again to go on from here, or "
                "download it elsewhere and name it with --source"
            ) from error
        except OSError as error:
            raise UserError(f"cannot write {part}: {error.strerror}") from error
        _check(part, download)
        part.rename(target)
    else:
        checks.check_file(target, download.size, None)
    return target


def _check(part: Path, download: Download) -> None:
    """Check a finished download; what is wrong will not become right, so it is removed."""
    try:
        if checks.sniff(part) == "HTML page":
            raise UserError(
                f"{download.url} answered with an HTML page, not {download.filename}: download "
                "the file in a browser and name it with --source"
            )
        checks.check_file(part, download.size, download.digest)
    except UserError:
        part.unlink(missing_ok=True)
        raise


def _fetch_rest(download: Download, part: Path) -> None:
    """Append to ``part`` what it lacks of the file."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(download.url, headers={"User-Agent": "data-pipelines"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to fetch
            return
        raise
    with answer:
        resumed = answer.status == 206
        start = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else download.size or 0
        progress = Progress(download.filename, total, "bytes")
        progress.start_at(start)
        with part.open("ab" if resumed else "wb") as file:
            done = start
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress.update(done)
        if length and done < total:
            raise http.client.IncompleteRead(b"", total - done)
