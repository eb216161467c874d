"""The storage interface: the one thing a storage plugin implements.

Semantics every implementation keeps, and `tests/storage/conformance.py` checks:

* **Keys** are relative, `/`-separated, lower-case ASCII (`config`, `data/ab/abcd…`); `check_key` guards the door.
* **put** is atomic and durable: when it returns, every later `get`, `stat` and `list`, also after a power cut,
  sees the whole object; when it raises, they see the whole object or none, never a part. Putting the same
  bytes under the same key again is allowed, so a put may be retried.
* **get** returns exactly the bytes asked for or raises; a short read is an error.
* **list** returns every object below a prefix exactly once, in no given order. In a place where bytes are contracted
  (S3) these are all bytes below the prefix: an object that somebody else put there under a name that is no key is
  listed too. It is not to be used with the other calls.
* **delete** of an object that is not there succeeds, so a delete may be retried.
* **Names that are hashes**: where the last part of a key is 64 hexadecimal letters, it is the SHA-256 of the object's
  bytes (`named_hash`), as of all files of a repository but its config. A storage may have the far end check what
  arrives by it; what was damaged in this machine's memory before it was sent is then refused (`DamagedHere`).
* **Threads**: any number of threads may use one storage at once. **close** ends its connections.
* **Errors** are `StorageError`s; nothing else escapes. `transient` says whether the same call may succeed
  when it is repeated; the storage itself repeats nothing (`RetryingStorage` does).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

from appliance.errors import KurabakoError
from appliance.text import T, Text

Buffer: TypeAlias = bytes | bytearray | memoryview

_HASH = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}(?:/[a-z0-9][a-z0-9._-]{0,99}){0,7}")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """A stored object: its key, relative to the storage's root, and its size in bytes."""

    key: str
    size: int


@runtime_checkable
class Storage(Protocol):
    """A place that keeps immutable objects. The module's docstring gives the semantics."""

    @property
    def location(self) -> str:
        """The place as a person knows it (`/srv/vault`, `s3:https://host/bucket/prefix`); holds no secret."""
        ...

    def put(self, key: str, data: Buffer) -> None:
        """Stores `data` under `key`, atomically and durably. The buffer is the caller's again when this returns."""
        ...

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `offset` (all from there when None). `ObjectNotFound` when there is no such object.

        `offset + length` beyond the end is a `DamagedAnswer`.
        """
        ...

    def stat(self, key: str) -> ObjectInfo:
        """The object's size; `ObjectNotFound` when there is no such object."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object whose key is below the folder `prefix` (`data`, `data/ab`), all objects when empty."""
        ...

    def delete(self, key: str) -> None:
        """Removes the object; succeeds when there is none."""
        ...

    def close(self) -> None:
        """Ends connections. The storage is not used afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class Unlisted:
    """What takes up room in a place beside the objects that `list` tells: older versions, parts of unfinished uploads.

    `size` in bytes. `keeps_versions`: what is deleted or replaced stays, as an older version, and counts on.
    """

    size: int = 0
    objects: int = 0
    keeps_versions: bool = False


@runtime_checkable
class TellsUnlisted(Protocol):
    """A storage whose place may hold more than its listing shows."""

    def unlisted(self) -> Unlisted:
        """What the listing does not show, below the storage's root. `StorageError`."""
        ...


def unlisted(storage: Storage) -> Unlisted:
    """What `storage` tells beside its listing; nothing where its kind has nothing to tell."""
    return storage.unlisted() if isinstance(storage, TellsUnlisted) else Unlisted()


@runtime_checkable
class SendsInPieces(Protocol):
    """What a storage on the far end of a line may offer besides: to be held back, or ended, within one object."""

    def put_in_pieces(self, key: str, data: Buffer, before: Callable[[int], None]) -> None:
        """`put`, with `before(count)` called before each piece of `count` bytes is sent: it may wait, and may raise."""
        ...


def check_key(key: str) -> None:
    """Raises `ValueError` unless `key` is a valid key (a caller's bug, not a person's mistake)."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a storage key: {key!r}")


def named_hash(key: str) -> str | None:
    """The SHA-256, in hexadecimal, that the object's name says its bytes have; None for a name that is no hash."""
    name = key.rpartition("/")[2]
    return name if _HASH.fullmatch(name) else None


class StorageError(KurabakoError):
    """A storage did not do what was asked. `transient`: the same call may succeed when repeated.

    `retry_after` is the least pause in seconds that the place asks for before a repetition, None when it asks for none.
    """

    code = "storage.failed"

    def __init__(
        self,
        what: Text,
        *,
        safe: Text | None = None,
        todo: Text | None = None,
        transient: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what, safe=safe, todo=todo)
        self.transient = transient
        self.retry_after = retry_after


class ObjectNotFound(StorageError):
    """There is no object under this key."""

    code = "storage.object-not-found"

    def __init__(self, location: str, key: str) -> None:
        super().__init__(T("There is no file {key} in {location}.", key=key, location=location))
        self.key = key


class PlaceNotFound(StorageError):
    """The bucket or folder itself is missing, or the disk that holds it is not plugged in."""

    code = "storage.place-not-found"


class AccessDenied(StorageError):
    """The place refuses these credentials or this operation: wrong key, wrong region, no permission."""

    code = "storage.access-denied"


class Unreachable(StorageError):
    """The place does not answer: name, route, connection, certificate."""

    code = "storage.unreachable"


class ClockSkewed(StorageError):
    """The place refuses requests because this machine's clock is wrong."""

    code = "storage.clock-skewed"


class NoSpace(StorageError):
    """The disk or the provider's own quota is full."""

    code = "storage.no-space"


class DamagedAnswer(StorageError):
    """The place answered with fewer, more or other bytes than it must."""

    code = "storage.damaged-answer"


class DamagedHere(StorageError):
    """What was to be stored is not what its name says any more: this machine's memory or processor made an error."""

    code = "storage.damaged-here"


@dataclass(frozen=True)
class StorageKind:
    """A kind of storage, as a plugin offers it.

    `scheme` is what a URL for it begins with: `s3` for `s3:https://host/bucket/prefix`; the empty scheme is a
    plain path. `open` makes a storage from the URL without its scheme and from options; it raises `StorageError`
    or, for a URL or option that makes no sense, `ValueError` with a sentence. Opening contacts nobody.

    Option names in use: `access_key_id`, `secret_access_key`, `session_token`, `region`, `ca_file`,
    `addressing` (`path`, `virtual`), `part_limit` (bytes), `create` (a folder may be created), `object_lock` (an
    `ObjectLock`; only to a storage that `KeepsVersions`, see `storage.versions`).
    """

    scheme: str
    title: Text
    open: Callable[[str, dict[str, Any]], Storage] = field(compare=False)
