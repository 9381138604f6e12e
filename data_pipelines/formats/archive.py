"""The files of a directory, a zip or a tar, read in place: no member ever becomes a file."""

from __future__ import annotations

import gzip
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from data_pipelines.formats import integrity
from qlae.common.errors import UserError


class Archive(Protocol):
    """Files by name, with forward slashes, relative to the top."""

    def entries(self) -> Iterator[tuple[str, tuple[int, int] | None]]:
        """Yields each file's name, and where its bytes lie if that is worth remembering."""

    def read(self, name: str, where: tuple[int, int] | None) -> bytes:
        """Returns one file's bytes."""

    def close(self) -> None:
        """Releases the archive."""


def open_archive(path: Path, scratch: Path) -> Archive:
    """Opens a directory, zip, tar or compressed tar.

    A compressed tar is first decompressed into `scratch`, since it cannot be read at random.

    Raises:
        UserError: another kind of file, or a member that is a link or would land outside.
        tarfile.TarError: a tar that is truncated; so for the other formats, by their libraries.
    """
    if path.is_dir():
        return _Folder(path)
    kind = integrity.require_kind(path, "zip", "tar", "gzip")
    if kind == "zip":
        return _Zip(path)
    return _Tar(path if kind == "tar" else _decompress(path, scratch), path)


class _Folder:
    def __init__(self, path: Path):
        self._path = path

    def entries(self) -> Iterator[tuple[str, tuple[int, int] | None]]:
        for file in self._path.rglob("*"):
            if file.is_file():
                yield file.relative_to(self._path).as_posix(), None

    def read(self, name: str, where: tuple[int, int] | None) -> bytes:
        return (self._path / name).read_bytes()

    def close(self) -> None:
        pass


class _Zip:
    def __init__(self, path: Path):
        self._path, self._archive = path, zipfile.ZipFile(path)

    def entries(self) -> Iterator[tuple[str, tuple[int, int] | None]]:
        for info in self._archive.infolist():
            _require_inside(self._path, info.filename)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise _link(self._path, info.filename)
            if not info.is_dir():
                yield info.filename, None

    def read(self, name: str, where: tuple[int, int] | None) -> bytes:
        try:
            return self._archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise UserError(f"{self._path} is damaged: {name} cannot be read") from error

    def close(self) -> None:
        self._archive.close()


class _Tar:
    """An uncompressed tar, read through the places of its members' bytes."""

    def __init__(self, path: Path, named: Path):
        self._path, self._named = path, named
        self._file = path.open("rb")
        # A tar ends with two blocks of zeros; cut between members, it would look whole.
        self._file.seek(max(0, path.stat().st_size - 2 * tarfile.BLOCKSIZE))
        if any(self._file.read()):
            self._file.close()
            raise tarfile.ReadError("no end of archive")

    def entries(self) -> Iterator[tuple[str, tuple[int, int] | None]]:
        size = self._path.stat().st_size
        with tarfile.open(self._path, "r:") as archive:
            for member in archive:
                _require_inside(self._named, member.name)
                if member.issym() or member.islnk():
                    raise _link(self._named, member.name)
                if member.offset_data + member.size > size:
                    raise tarfile.ReadError("unexpected end of data")
                if member.isfile():
                    yield member.name, (member.offset_data, member.size)
                # The archive would otherwise keep a kilobyte for every image.
                archive.members.clear()  # type: ignore[attr-defined]

    def read(self, name: str, where: tuple[int, int] | None) -> bytes:
        assert where is not None
        self._file.seek(where[0])
        return self._file.read(where[1])

    def close(self) -> None:
        self._file.close()


def _decompress(path: Path, scratch: Path) -> Path:
    """Returns a plain tar with the contents of a compressed one, made once."""
    scratch.mkdir(parents=True, exist_ok=True)
    plain = scratch / "decompressed.tar"
    if plain.exists():
        return plain
    part = plain.with_suffix(".part")
    try:
        with gzip.open(path, "rb") as reader, part.open("wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 22)
        integrity.require_kind(part, "tar")
        part.rename(plain)
    finally:
        part.unlink(missing_ok=True)
    return plain


def _require_inside(path: Path, name: str) -> None:
    """Refuses an archive with a member that, unpacked, would land outside its directory."""
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or (pure.parts and pure.parts[0].endswith(":")):
        raise UserError(f"{path} is refused: its member {name!r} would land outside its directory")


def _link(path: Path, name: str) -> UserError:
    return UserError(f"{path} is refused: its member {name!r} is a link, not a file")
