"""Where a dataset is published: its files, links, mirrors and checksums, and how to get them."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """One published file.

    Attributes:
        name: as it is published.
        links: direct links, the publisher's first, then mirrors; empty where there is none.
        size: in bytes, where it is known.
        checksum: "md5:..." or "sha256:...", where it is known.
    """

    name: str
    links: tuple[str, ...] = ()
    size: int | None = None
    checksum: str | None = None


@dataclasses.dataclass(frozen=True)
class Publication:
    """The files that a dataset is prepared from.

    Attributes:
        homepage: of the dataset.
        files: all of them are needed.
        by_hand: in one line, how to get the files without this program.
        suffixes: of a file that may be it under another name.
        unpacked: whether the directory that its archive unpacks into will do as well.
    """

    homepage: str
    files: tuple[PublishedFile, ...]
    by_hand: str
    suffixes: tuple[str, ...] = ()
    unpacked: bool = False

    @property
    def names(self) -> str:
        """The names of the files, as a message lists them."""
        return ", ".join(file.name for file in self.files)

    def describe(self) -> str:
        """Returns the text that tells a user where the files are."""
        lines = [self.homepage]
        for file in self.files:
            size = f", {file.size:,} bytes" if file.size else ""
            lines.append(f"{file.name}{size}, {file.checksum or 'no checksum is known'}")
            lines += [f"  {link}" for link in file.links]
        return "\n".join([*lines, f"by hand: {self.by_hand}"])
