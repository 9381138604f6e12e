"""The published files that a dataset is prepared from: named by the user, or downloaded."""

from __future__ import annotations

from pathlib import Path

from data_pipelines.downloads import fetch
from data_pipelines.formats import integrity
from data_pipelines.grid import DatasetSpec
from data_pipelines.publication import Publication, PublishedFile
from qlae.common.errors import UserError


def find_source(
    spec: DatasetSpec, source: Path | None, downloads: Path, verify_checksum: bool = True
) -> Path | None:
    """Returns the file or directory that the reader of `spec` opens; None for a rendered dataset.

    Args:
        spec: the dataset.
        source: the published file, or a directory that holds it; downloaded when None.
        downloads: where downloaded files are kept.
        verify_checksum: whether a named file must have the published size and checksum.

    Raises:
        UserError: no such file, no known link, or not the published bytes.
    """
    publication = spec.publication
    if publication is None:
        if source is not None:
            raise UserError(f"{spec.name} is rendered here: it is prepared without --source")
        return None
    if source is None:
        return _download(spec, publication, downloads)
    found = _locate(publication, source.expanduser())
    if verify_checksum:
        _verify(publication, found)
    return found


def _download(spec: DatasetSpec, publication: Publication, folder: Path) -> Path:
    if not all(file.links for file in publication.files):
        raise UserError(
            f"no direct link to {spec.name} is known: {publication.by_hand}, then name the file "
            "with --source"
        )
    paths = [fetch(file, folder, publication.by_hand) for file in publication.files]
    return paths[0] if len(paths) == 1 else folder


def _locate(publication: Publication, source: Path) -> Path:
    """Returns what `source` names: itself, or the published file in that directory."""
    if source.is_file():
        if len(publication.files) > 1:
            raise UserError(f"{source} is a file: name the directory with {publication.names}")
        return source
    if not source.exists():
        raise UserError(f"there is no file or directory {source}")
    if not source.is_dir():
        raise UserError(f"{source} is neither a file nor a directory")
    if len(publication.files) > 1:
        return source
    named = source / publication.files[0].name
    if named.is_file():
        return named
    suitable = sorted(
        path for path in source.iterdir() if path.suffix in publication.suffixes and path.is_file()
    )
    if len(suitable) == 1:
        return suitable[0]
    if publication.unpacked:
        return source
    raise UserError(
        f"{source} holds {len(suitable)} files that could be it, expected one: "
        f"{publication.names}; name the file with --source"
    )


def _verify(publication: Publication, source: Path) -> None:
    """Compares what is there with the published size and checksum, where they are known."""
    for file, path in _pair(publication, source):
        integrity.refuse_web_page(path, file.name)
        integrity.check_bytes(path, file.size, file.checksum)


def _pair(publication: Publication, source: Path) -> list[tuple[PublishedFile, Path]]:
    """Returns the published files and those of `source` that should be equal to them."""
    if source.is_dir():
        pairs = [(file, source / file.name) for file in publication.files]
        return [(file, path) for file, path in pairs if path.is_file()]
    file = publication.files[0]
    # The same dataset in another format has another checksum.
    return [(file, source)] if source.suffix == Path(file.name).suffix else []
