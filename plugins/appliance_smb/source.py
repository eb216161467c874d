"""A share's tree as a source, read with SMB alone: nothing is mounted, nobody needs to be root."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from appliance.sources.interface import (
    Entry,
    EntryType,
    OpenOptions,
    OtherFileSystem,
    Path,
    SourceError,
    SourceFile,
)
from appliance.text import T
from appliance_smb import errors, requests, wire
from appliance_smb.channel import Broken, Channel, Pending, Refused
from appliance_smb.link import Link
from appliance_smb.previous import Snapshot, newest_snapshot
from appliance_smb.reading import SMALL, Ahead, Known, Wanted, asked, close_handle, has_streams, may_audit, read_many

_REMEMBERED = 10_000
"""Directories whose identity is remembered for noticing loops; those on the way to the current ones always are."""

_FEW, _LIST = 65536, requests.LIST_DIRECTORY | requests.READ_ATTRIBUTES
_LONGEST_LINK = 16 * 1024  # [MS-FSCC] 2.1.2: the largest reparse point
_SECURITY = requests.OWNER | requests.GROUP | requests.DACL
_CONTENT = (EntryType.FILE, EntryType.DIR)


@dataclass(slots=True)
class _Listed(Entry):
    """An entry, and whether it has extended attributes, which are asked for only then."""

    has_eas: bool = False


class InCircle(OtherFileSystem):
    """A directory that is one of those above it; what it holds is backed up there, and nothing is missing."""

    code = "smb.in-circle"


class SmbSource:
    """The tree of a share, or of a folder in it.

    A share knows no Unix owners, modes and inodes: entries have none, and files belong to who restores them. Creation
    time, file attributes and security descriptor (with its SACL, if the user may read that) go along as generic
    attributes, the very values that stock restic on Windows writes; extended attributes under their own names, as it
    does; named streams as files of their own. Links and junctions are kept as links and never followed; what the server
    itself follows in a circle is noticed and read once.
    """

    def __init__(self, link: Link, user: str, options: OpenOptions) -> None:
        self._link = link
        self._previous = options.previous_versions
        self._snapshot: Snapshot | None = None
        self._looked_for_snapshot = False
        self._moment = 0
        self._top = (*link.prefix, *(name.encode() for name in link.place.folder))
        self._known: OrderedDict[Path, tuple[int, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._security = _SECURITY
        self._trusts_times = options.permissions == "changed"
        self._user = user
        try:
            if self._previous == "always" and (snapshot := self._newest_snapshot(link.channel())):
                self._moment = snapshot.moment
            self._root = self._look_at_root(link.channel())
            if may_audit(link.channel(), self._name(()), self._moment):
                self._security |= requests.SACL
            self._has_streams = has_streams(link.channel(), self._name(()))
        except Refused as refused:
            raise errors.share_refused(link.address, user, refused.status) from refused
        except Broken as broken:
            raise errors.lost(link.address) from broken

    @property
    def id(self) -> str:
        return self._link.address.id

    @property
    def snapshot_path(self) -> str:
        return self._link.address.snapshot_path

    @property
    def trusts_inode(self) -> bool:
        """False: servers make up file ids, and change times are not kept by all."""
        return False

    @property
    def trusts_change_time(self) -> bool:
        """Whether some file has shown a change time that is not the time of its last write, or the policy says so.

        Samba tells the latter for both, so that permissions may change and no time tells.
        """
        return self._trusts_times

    def root(self) -> Entry:
        entry = _entry(b"", self._root)
        self.complete((), entry)
        if self._previous == "always":
            entry.noted = (
                T("It was read as it was in the previous version {snapshot}.", snapshot=self._snapshot.name)
                if self._snapshot
                else T("The server keeps no previous versions of it; it was read as it is now.")
            )
        return entry

    def scandir(self, path: Path) -> Sequence[Entry]:
        try:
            return asked(self._link, path, lambda channel: self._scan(channel, path))
        except SourceError as error:
            told = self._told(error)
            if told is error:
                raise
            raise told from error
        except ValueError as error:
            raise SourceError(
                T("{path} cannot be listed: the server's answer makes no sense.", path=errors.display(path)),
                todo=T("Check the server for updates and its disk for errors."),
            ) from error

    def complete(self, path: Path, entry: Entry) -> None:
        if entry.type is EntryType.SYMLINK:
            self._complete_link(path, entry)
        elif entry.type in _CONTENT:
            (known,) = self._ask([(path, entry)], content=False)
            if known.failure is not None:
                raise known.failure

    def complete_many(self, files: Sequence[tuple[Path, Entry]]) -> Sequence[SourceError | None]:
        return [known.failure for known in self._ask(files, content=False)]

    def open(self, path: Path, entry: Entry) -> SourceFile:
        (opened,) = self.open_many([(path, entry)])
        if isinstance(opened, SourceError):
            raise opened
        return opened

    def open_many(self, files: Sequence[tuple[Path, Entry]]) -> Sequence[SourceFile | SourceError]:
        """Opens and reads small files in one round trip each; a large one, which comes alone, is read ahead."""
        most = min(SMALL, self._link.payload)
        small = iter(self._ask([(path, entry) for path, entry in files if entry.size <= most], content=True))
        return [_opened(next(small)) if entry.size <= most else self._open_large(path, entry) for path, entry in files]

    def open_previous(self, path: Path, entry: Entry) -> SourceFile | None:
        if self._previous != "locked" or (snapshot := asked(self._link, path, self._newest_snapshot)) is None:
            return None
        self.complete(path, entry)
        file = Ahead(self._link, path, self._name(path), snapshot.moment)
        earlier = _entry(entry.name, file.facts)
        entry.size, entry.mtime_ns, entry.ctime_ns = earlier.size, earlier.mtime_ns, earlier.ctime_ns
        entry.noted = T(
            "A program has locked it; what was backed up is its previous version {snapshot}.", snapshot=snapshot.name
        )
        return file

    def close(self) -> None:
        self._link.close()

    # --- files -------------------------------------------------------------------------------------------------------

    def _open_large(self, path: Path, entry: Entry) -> SourceFile | SourceError:
        try:
            self.complete(path, entry)
            return Ahead(self._link, path, self._name(path), self._moment)
        except SourceError as error:
            return self._told(error)

    def _ask(self, files: Sequence[tuple[Path, Entry]], *, content: bool) -> list[Known]:
        """Completes the entries and, if wanted, reads the files."""
        wanted = [self._wanted(path, entry, entry.size if content else None) for path, entry in files]
        answers = read_many(self._link, wanted)
        for number, ((path, entry), known) in enumerate(zip(files, answers, strict=True)):
            if isinstance(known.failure, errors.Denied) and wanted[number].security:
                (known,) = answers[number : number + 1] = read_many(self._link, [replace(wanted[number], security=0)])
                if known.failure is None:
                    entry.missing = T(
                        "The permissions of {path} could not be read; everything else of it was backed up.",
                        path=errors.display(path),
                    )
            _describe(entry, known)
            if known.failure is None:
                entry.noted = entry.noted or self._link.take_note()
        gone = next((known.failure for known in answers if known.failure is not None and known.failure.gone), None)
        if gone is not None and (lost := self._told(gone)).lost:
            return [Known(failure=lost)] * len(answers)
        return answers

    def _wanted(self, path: Path, entry: Entry, size: int | None) -> Wanted:
        """What is asked for a file or directory; a stream (`name:stream`) has only its content."""
        whole = b":" not in (path[-1] if path else b"")
        eas = isinstance(entry, _Listed) and entry.has_eas
        return Wanted(
            path, self._name(path), size, self._security if whole else 0, whole and self._has_streams, self._moment, eas
        )

    # --- directories -------------------------------------------------------------------------------------------------

    def _look_at_root(self, channel: Channel) -> wire.Facts:
        message = requests.create(self._name(()), _LIST, requests.DIRECTORY_FILE, moment=self._moment)
        handle, facts = wire.parse_created(channel.call(message))
        close_handle(channel, handle)
        return facts

    def _newest_snapshot(self, channel: Channel) -> Snapshot | None:
        """The newest earlier state that the server keeps, looked for once."""
        if not self._looked_for_snapshot:
            self._snapshot, self._looked_for_snapshot = newest_snapshot(channel, self._name(())), True
        return self._snapshot

    def _told(self, error: SourceError) -> SourceError:
        """The error itself, or that the whole source is lost, where a path is gone because its root is."""
        if not error.gone:
            return error
        try:
            self._look_at_root(self._link.channel())
        except Refused as refused:
            return errors.lost(self._link.address, errors.share_refused(self._link.address, self._user, refused.status))
        except Broken:
            return errors.lost(self._link.address, self._link.ended_by)
        return error

    def _name(self, path: Path) -> bytes:
        return wire.encode_path((*self._top, *path))

    def _scan(self, channel: Channel, path: Path) -> list[Entry]:
        entries = []
        for name, facts in self._list(channel, path):
            if name == b".":
                self._notice_loop(path, facts)
            elif name != b"..":
                if not wire.is_name(name):
                    raise ValueError("a name that cannot be one")
                entries.append(_entry(name, facts))
                self._trusts_times = self._trusts_times or facts.changed != facts.written
        return entries

    def _list(self, channel: Channel, path: Path) -> Iterator[tuple[bytes, wire.Facts]]:
        """All of a directory. Most take one round trip: what is opened is listed with it, and its end seen."""
        first, *listings = channel.send(
            [
                requests.create(self._name(path), _LIST, requests.DIRECTORY_FILE, moment=self._moment),
                requests.list_directory(requests.SAME_FILE, _FEW),
                requests.list_directory(requests.SAME_FILE, _FEW),
            ]
        )
        handle, _ = wire.parse_created(channel.receive(first))
        try:
            while True:
                if not listings:
                    listings = channel.send([requests.list_directory(handle, self._link.payload)])
                yield from wire.parse_listing(wire.parse_output(channel.receive(listings.pop(0))))
        except Refused as refused:
            if refused.status != errors.NO_MORE_FILES:
                raise
        finally:
            for left in listings:
                _forget(channel, left)
            close_handle(channel, handle)

    def _notice_loop(self, path: Path, facts: wire.Facts) -> None:
        """Raises `InCircle` when the directory at `path` is one of those above it.

        Servers on Unix follow symbolic links themselves, and show a directory that contains itself.
        """
        if not facts.file_id:
            return
        identity = (facts.file_id, facts.created)
        with self._lock:
            above = [path[:depth] for depth in range(len(path))]
            for place in above:
                if self._known.get(place) == identity:
                    raise InCircle(
                        T(
                            "{path} is {same} once more, by a link on the server; it was read there only.",
                            path=errors.display(path),
                            same=errors.display(place),
                        )
                    )
                if place in self._known:
                    self._known.move_to_end(place)
            self._known[path] = identity
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    # --- links -------------------------------------------------------------------------------------------------------

    def _complete_link(self, path: Path, entry: Entry) -> None:
        target = asked(self._link, path, lambda channel: self._read_link(channel, path))
        if target is None:
            raise SourceError(
                T("{path} stands for something else in a way that only Windows knows.", path=errors.display(path))
            )
        entry.link_target = target

    def _read_link(self, channel: Channel, path: Path) -> bytes | None:
        message = requests.create(
            self._name(path), requests.READ_ATTRIBUTES, requests.OPEN_REPARSE_POINT, moment=self._moment
        )
        handle, _ = wire.parse_created(channel.call(message))
        try:
            asked_for = requests.ioctl(requests.GET_REPARSE_POINT, most=_LONGEST_LINK, handle=handle)
            return wire.parse_link(wire.parse_ioctl(channel.call(asked_for)))
        finally:
            close_handle(channel, handle)


def _describe(entry: Entry, known: Known) -> None:
    """Puts what the server told into the entry."""
    if known.security is not None:
        descriptor = b64encode(known.security).decode()
        entry.generic_attributes = {**entry.generic_attributes, wire.SECURITY_DESCRIPTOR: descriptor}
    if known.eas is not None:
        entry.xattrs = tuple(known.eas)
    elif isinstance(entry, _Listed) and entry.has_eas and known.failure is None:
        entry.missing = entry.missing or T(
            "The extended attributes of {name} could not be read; everything else of it was backed up.",
            name=errors.display((entry.name,)),
        )
    if known.streams:
        entry.streams = tuple(
            Entry(
                entry.name + b":" + stream.name,
                EntryType.FILE,
                entry.mode & 0o600,
                size=stream.size,
                mtime_ns=entry.mtime_ns,
                ctime_ns=entry.ctime_ns,
            )
            for stream in known.streams
        )


def _opened(known: Known) -> SourceFile | SourceError:
    opened = known.failure or known.content
    assert opened is not None, "one of both was asked for"
    return opened


def _forget(channel: Channel, pending: Pending) -> None:
    try:
        channel.receive(pending)
    except Refused:
        pass


def _entry(name: bytes, facts: wire.Facts) -> Entry:
    if facts.is_link:
        kind, mode = EntryType.SYMLINK, 0o777
    elif facts.is_directory:
        kind, mode = EntryType.DIR, 0o700
    else:
        kind, mode = EntryType.FILE, 0o400 if facts.attributes & wire.READ_ONLY else 0o600
    return _Listed(
        name,
        kind,
        mode,
        size=facts.size if kind is EntryType.FILE else 0,
        mtime_ns=wire.unix_ns(facts.written),
        atime_ns=wire.unix_ns(facts.accessed),
        ctime_ns=wire.unix_ns(facts.changed),
        generic_attributes=wire.windows_attributes(facts),
        has_eas=facts.ea_size > 0,
    )
