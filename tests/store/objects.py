"""Objects in memory as Google Cloud Storage keeps them: whole, with generations and listings."""

import base64
import dataclasses
import datetime
import hashlib
import itertools
import threading
from collections.abc import Mapping
from typing import Any

import google_crc32c

_FIRST_GENERATION = 1_700_000_000_000_000


class Refusal(Exception):
    """What the store answers instead of doing as it was asked: an HTTP status and a reason."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


@dataclasses.dataclass(frozen=True)
class StoredObject:
    """One object; overwriting it makes another one, of a later generation."""

    bucket: str
    name: str
    data: bytes
    generation: int
    created: datetime.datetime
    updated: datetime.datetime
    metageneration: int = 1
    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def crc32c(self) -> str:
        """Checksum of the data, as the API writes it."""
        return base64.b64encode(google_crc32c.value(self.data).to_bytes(4, "big")).decode()

    @property
    def md5(self) -> str:
        """Hash of the data, as the API writes it."""
        return base64.b64encode(hashlib.md5(self.data).digest()).decode()

    def to_json(self) -> dict[str, Any]:
        """Returns the object's resource of the JSON API."""
        return {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "bucket": self.bucket,
            "name": self.name,
            "size": str(len(self.data)),
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "contentType": self.content_type,
            "metadata": dict(self.metadata),
            "timeCreated": format_time(self.created),
            "updated": format_time(self.updated),
            "storageClass": "STANDARD",
            "md5Hash": self.md5,
            "crc32c": self.crc32c,
            "etag": str(self.generation),
        }


@dataclasses.dataclass(frozen=True)
class Conditions:
    """Preconditions of one call; generation 0 stands for an object that is not there."""

    generation: int | None = None
    not_generation: int | None = None
    metageneration: int | None = None

    def check(self, found: StoredObject | None, *, reads: bool = False) -> None:
        """Raises `Refusal` if they do not hold: 304 for a read that has nothing new, else 412."""
        generation = found.generation if found else 0
        if self.generation is not None and generation != self.generation:
            raise Refusal(412, f"generation is {generation}, not {self.generation}")
        if self.not_generation is not None and generation == self.not_generation:
            raise Refusal(304 if reads else 412, f"generation is {generation}")
        if self.metageneration is not None and found:  # noqa: SIM102
            if found.metageneration != self.metageneration:
                raise Refusal(412, f"metageneration is {found.metageneration}")


@dataclasses.dataclass(frozen=True)
class Page:
    """Part of a listing: objects and common prefixes, both in order, and where the next begins."""

    objects: list[StoredObject]
    prefixes: list[str]
    next_token: str | None


class Objects:
    """All objects of all buckets. Every method is atomic; none is ever stale."""

    def __init__(self) -> None:
        self._buckets: dict[str, dict[str, StoredObject]] = {}
        self._generations = itertools.count(_FIRST_GENERATION)
        self._lock = threading.RLock()

    def make_bucket(self, bucket: str) -> None:
        """Makes an empty bucket; raises `Refusal` if there is one."""
        with self._lock:
            if bucket in self._buckets:
                raise Refusal(409, f"bucket {bucket} exists")
            self._buckets[bucket] = {}

    def list_buckets(self) -> list[str]:
        """Returns the buckets' names in order."""
        with self._lock:
            return sorted(self._buckets)

    def in_bucket(self, bucket: str) -> dict[str, StoredObject]:
        """Returns a bucket's objects by name; raises `Refusal` if there is no such bucket."""
        if bucket not in self._buckets:
            raise Refusal(404, f"The specified bucket does not exist: {bucket}")
        return self._buckets[bucket]

    def get(self, bucket: str, name: str, conditions: Conditions | None = None) -> StoredObject:
        """Returns an object; raises `Refusal` if it is not there or a condition does not hold."""
        with self._lock:
            found = self.in_bucket(bucket).get(name)
            if found is None:
                raise Refusal(404, f"No such object: {bucket}/{name}")
            if conditions:
                conditions.check(found, reads=True)
            return found

    def put(
        self,
        bucket: str,
        name: str,
        data: bytes,
        conditions: Conditions | None = None,
        **attributes: Any,
    ) -> StoredObject:
        """Makes an object, in place of the one of this name; `attributes` are of `StoredObject`."""
        with self._lock:
            objects = self.in_bucket(bucket)
            if conditions:
                conditions.check(objects.get(name))
            now = datetime.datetime.now(datetime.UTC)
            generation = next(self._generations)
            made = StoredObject(bucket, name, data, generation, now, now, **attributes)
            objects[name] = made
            return made

    def patch(
        self, bucket: str, name: str, metadata: Mapping[str, str], conditions: Conditions
    ) -> StoredObject:
        """Changes an object's metadata; its generation stays."""
        with self._lock:
            found = self.get(bucket, name)
            conditions.check(found)
            patched = dataclasses.replace(
                found,
                metadata={**found.metadata, **metadata},
                metageneration=found.metageneration + 1,
                updated=datetime.datetime.now(datetime.UTC),
            )
            self.in_bucket(bucket)[name] = patched
            return patched

    def delete(self, bucket: str, name: str, conditions: Conditions | None = None) -> None:
        """Deletes an object; raises `Refusal` as `get` does."""
        with self._lock:
            found = self.get(bucket, name)
            if conditions:
                conditions.check(found)
            del self.in_bucket(bucket)[name]

    def move(self, bucket: str, name: str, to: str, conditions: Conditions) -> StoredObject:
        """Renames one object in its bucket, atomically."""
        with self._lock:
            found = self.get(bucket, name)
            moved = self.put(
                bucket,
                to,
                found.data,
                conditions,
                content_type=found.content_type,
                metadata=found.metadata,
            )
            if to != name:
                self.delete(bucket, name)
            return moved

    def list(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        start: str = "",
        end: str = "",
        token: str = "",
        most: int = 1000,
    ) -> Page:
        """Lists names that begin with `prefix`, from `start` on and before `end`.

        What follows a delimiter after the prefix is folded into one common prefix. A page holds at
        most `most` objects and prefixes; `token` is the page's before.
        """
        with self._lock:
            entries: dict[str, StoredObject | None] = {}
            for name, found in sorted(self.in_bucket(bucket).items()):
                if not name.startswith(prefix) or name < start or (end and name >= end):
                    continue
                cut = name.find(delimiter, len(prefix)) if delimiter else -1
                if cut < 0:
                    entries[name] = found
                else:
                    entries[name[: cut + len(delimiter)]] = None
            keys = [key for key in entries if key > token]
        page = {key: entries[key] for key in keys[:most]}
        return Page(
            objects=[found for found in page.values() if found is not None],
            prefixes=[key for key, found in page.items() if found is None],
            next_token=keys[most - 1] if len(keys) > most else None,
        )


def format_time(time: datetime.datetime) -> str:
    """Returns a time as the API writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
