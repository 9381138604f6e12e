"""Downloads of published files: resumable, from mirrors too, checked, and never half there."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path

from data_pipelines.formats import integrity
from data_pipelines.progress import Progress
from data_pipelines.publication import PublishedFile
from qlae.common.errors import UserError

_TIMEOUT = 60  # seconds without an answer
_CHUNK = 1 << 20
_NO_ANSWER = (
    urllib.error.URLError,
    http.client.HTTPException,
    TimeoutError,
    ConnectionError,
)


def fetch(file: PublishedFile, folder: Path, by_hand: str = "download it elsewhere") -> Path:
    """Returns the local copy of `file` in `folder`, fetching what is missing of it.

    Its links are tried in order; what one left half done, the next goes on with.

    Args:
        file: the published file.
        folder: where it is kept.
        by_hand: what a message tells the user to do where no link works.

    Raises:
        UserError: no link gave the published bytes, or they cannot be written.
    """
    target = folder / file.name
    if target.exists():
        integrity.check_bytes(target, file.size, None)
        return target
    part = folder / f"{file.name}.part"
    failures = []
    for link in file.links:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _fetch_rest(link, file, part)
            _check(link, file, part)
            part.rename(target)
            return target
        except UserError as error:
            failures.append(str(error))
        except _NO_ANSWER as error:
            reason = getattr(error, "reason", None) or error
            failures.append(f"cannot download {link} ({reason})")
        except OSError as error:
            raise UserError(f"cannot write {part}: {error.strerror}") from error
    raise UserError(
        f"{'; '.join(failures)}: run again to go on from here, or {by_hand}, then name it with "
        "--source"
    )


def _check(link: str, file: PublishedFile, part: Path) -> None:
    """Checks a finished download; what is wrong will not become right, so it is removed."""
    try:
        if integrity.sniff(part) == "HTML page":
            raise UserError(f"{link} answered with an HTML page, not {file.name}")
        integrity.check_bytes(part, file.size, file.checksum)
    except UserError:
        part.unlink(missing_ok=True)
        raise


def _fetch_rest(link: str, file: PublishedFile, part: Path) -> None:
    """Appends to `part` what it lacks of the file."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(link, headers={"User-Agent": "data-pipelines"})
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
        total = start + int(length) if length else file.size or 0
        progress = Progress(file.name, total, "bytes")
        progress.start_at(start)
        with part.open("ab" if resumed else "wb") as writer:
            done = start
            while chunk := answer.read(_CHUNK):
                writer.write(chunk)
                done += len(chunk)
                progress.update(done)
        if length and done < total:
            raise http.client.IncompleteRead(b"", total - done)
