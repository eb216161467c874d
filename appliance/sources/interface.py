"""The source interface: a tree of files that can be backed up.

A source knows nothing of repositories. The jobs never know where a source comes from: they are handed one.

Semantics every implementation keeps:

* **Paths** are tuples of raw names below the source's root, `()` for the root itself. Names are bytes as the
  source has them (an SMB name is UTF-8, with unpaired surrogates encoded as `surrogatepass`).
* **scandir** lists a directory once, without following links; entries come in any order and carry everything
  that listing brings for free. An entry that vanishes meanwhile is left out.
* **complete** adds what costs extra calls per entry (extended attributes, link target, generic attributes, streams).
* **open** opens a regular file for reading and refuses when it is no longer the kind of file the entry says.
* **Errors** are `SourceError`s about one path; `gone` means the path vanished, `lost` means the whole source
  is no longer there (disk pulled, server away): the run then ends partial, keeping what it has.
* **Threads**: any number of threads may use one source at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeGuard, runtime_checkable

from appliance.errors import KurabakoError
from appliance.text import Text

Path: TypeAlias = tuple[bytes, ...]


class EntryType(StrEnum):
    """What an entry is, in restic's own words (repository-format 1.8)."""

    FILE = "file"
    DIR = "dir"
    SYMLINK = "symlink"
    BLOCK_DEVICE = "dev"
    CHAR_DEVICE = "chardev"
    FIFO = "fifo"
    SOCKET = "socket"


@dataclass(slots=True)
class Entry:
    """One name in a directory and what the source tells of it.

    `mode` holds the permission bits with setuid, setgid and sticky as Unix has them (0..0o7777), without the
    type. Times are nanoseconds since 1970 UTC. `inode` and `device_id` identify a file within the source and
    are 0 when the source has no stable ones; `links` is 0 when unknown. `missing` says what of it could not be read,
    `noted` what people should know of how it was.
    """

    name: bytes
    type: EntryType
    mode: int = 0
    size: int = 0
    mtime_ns: int = 0
    atime_ns: int = 0
    ctime_ns: int = 0
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    inode: int = 0
    device_id: int = 0
    links: int = 0
    rdev: int = 0
    link_target: bytes = b""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    generic_attributes: Mapping[str, Any] = field(default_factory=dict)
    streams: tuple[Entry, ...] = ()
    missing: Text | None = None
    noted: Text | None = None


class SourceFile(Protocol):
    """An open regular file of a source."""

    def readinto(self, buffer: memoryview) -> int:
        """Reads up to `len(buffer)` bytes on; 0 at the end of the file."""
        ...

    def changed(self) -> bool:
        """Whether the file's size or modification time is another than when it was opened."""
        ...

    def close(self) -> None: ...


class Source(Protocol):
    """A tree of files. The module's docstring gives the semantics."""

    @property
    def id(self) -> str:
        """Stable name of this source on this box, the same after a restart or on another port."""
        ...

    @property
    def snapshot_path(self) -> str:
        """The absolute path under which snapshots show the source's root, e.g. `/srv/share`."""
        ...

    @property
    def trusts_inode(self) -> bool:
        """Whether inode and ctime are stable, and so part of change detection.

        An equal ctime then also vouches for all that `complete` would tell: such a file need not be completed.
        """
        ...

    def root(self) -> Entry:
        """The root's own entry, complete; its name is not used."""
        ...

    def scandir(self, path: Path) -> Sequence[Entry]: ...

    def complete(self, path: Path, entry: Entry) -> None:
        """Fills in `entry` (found at `path`, name included) what scandir left out; keeps it where it cannot."""
        ...

    def open(self, path: Path, entry: Entry) -> SourceFile: ...

    def close(self) -> None: ...


class RemoteSource(Source, Protocol):
    """A source that takes time to answer, so that what can be asked at once is."""

    @property
    def trusts_change_time(self) -> bool:
        """Whether a file whose `ctime_ns`, if not 0, is that of an earlier run has that run's metadata and streams.

        It may become true while the source is read.
        """
        ...

    def complete_many(self, files: Sequence[tuple[Path, Entry]]) -> Sequence[SourceError | None]:
        """Completes each file's entry, or says why it cannot be."""
        ...

    def open_many(self, files: Sequence[tuple[Path, Entry]]) -> Sequence[SourceFile | SourceError]:
        """Opens each file, or says why it cannot be; an entry whose file is opened is then complete."""
        ...

    def open_previous(self, path: Path, entry: Entry) -> SourceFile | None:
        """Opens the newest earlier state that the server keeps of a file that is locked; None where there is none.

        The entry then tells of that state, and `noted` says that it is one. Raises `SourceError`.
        """
        ...


def is_remote(source: Source) -> TypeGuard[RemoteSource]:
    return hasattr(source, "open_many")


class WholeFile(NamedTuple):
    """A regular file read at once: its content and its extended attributes."""

    content: bytes
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


@runtime_checkable
class LocalTree(Protocol):
    """What a source offers besides that is a plain tree of this machine: small files in few calls, to any process."""

    def root_descriptor(self) -> int:
        """The descriptor of the root directory, open for as long as the source is."""
        ...

    def read_files(self, folder: Path, entries: Sequence[Entry]) -> list[WholeFile | None]:
        """Each of these files of one directory as it was when that was listed, with all that `complete` would tell.

        None for one that cannot be had so, for whatever reason: who opens it will learn why.
        """
        ...


class SourceError(KurabakoError):
    """One path of a source could not be read.

    `gone`: it vanished; `busy`: somebody has locked it, for now; `lost`: the whole source went away.
    """

    code = "source.unreadable"

    def __init__(
        self,
        what: Text,
        *,
        safe: Text | None = None,
        todo: Text | None = None,
        gone: bool = False,
        busy: bool = False,
        lost: bool = False,
    ) -> None:
        super().__init__(what, safe=safe, todo=todo)
        self.gone = gone
        self.busy = busy
        self.lost = lost


class OtherFileSystem(SourceError):
    """A directory that belongs to another source: something else is mounted there. It is kept as an empty directory."""

    code = "source.other-filesystem"


class SourceNotFound(KurabakoError):
    """No source of this id is known, or it is not there now."""

    code = "source.not-found"


class Medium(StrEnum):
    """What a source is read from, as far as it matters for how."""

    SPINNING = "spinning"
    SOLID = "solid"
    NETWORK = "network"
    UNKNOWN = "unknown"


PreviousVersions: TypeAlias = Literal["never", "locked", "always"]
AskedAgain: TypeAlias = Literal["always", "changed"]


@dataclass(frozen=True)
class OpenOptions:
    """How a source is to be opened.

    `cross_file_systems`: what is mounted inside it is read as part of it. `previous_versions`: when earlier states that
    a server keeps are read: "never", of files that are "locked", or "always", the whole source as it was at one moment.
    `permissions`: whether a server whose times do not tell that those have changed is asked for them, and for all else
    that `complete` tells, of every file in every run, or only of a file that is read.
    """

    cross_file_systems: bool = False
    previous_versions: PreviousVersions = "locked"
    permissions: AskedAgain = "always"


@dataclass(frozen=True)
class FoundSource:
    """A source that was detected or configured, before anybody opens it.

    `id` starts with its kind (`folder:/srv/share`, `disk:uuid/…`, `smb://server/share`) and never changes
    for the same thing. `collectable` is False for what can be seen but not backed up (no file system …), with
    `why_not`. `note` is something a person should know about it all the same. `details` are facts for people (model,
    serial, file system …), values already words or numbers.
    """

    id: str
    kind: str
    title: str
    size_bytes: int | None = None
    removable: bool = False
    present: bool = True
    collectable: bool = True
    why_not: Text | None = None
    medium: Medium = Medium.UNKNOWN
    note: Text | None = None
    details: Mapping[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceEvent:
    """A source arrived, changed or went away. `action` is `add`, `change` or `remove`."""

    action: str
    source: FoundSource


class Watch(Protocol):
    """A running watch over sources; `close` ends it within a second."""

    def close(self) -> None: ...


OnSourceEvent: TypeAlias = Callable[[SourceEvent], None]
