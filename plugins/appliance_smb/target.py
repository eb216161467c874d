"""A share, or a folder in it, as a restore target: what NTFS knows of files comes back with them."""

from __future__ import annotations

import os
import struct
import threading
from collections import deque
from collections.abc import Sequence
from itertools import count

from appliance.sources.interface import Entry, EntryType, Path
from appliance.storage.interface import Buffer
from appliance_smb import requests, wire
from appliance_smb.channel import Broken, Channel, Pending, Refused
from appliance_smb.link import Link
from appliance_smb.metadata import basic, describing, is_described, settable
from appliance_smb.reading import close_handle, may_audit
from appliance_smb.refusals import COLLISION, NOT_THERE, as_os_errors, refusal
from appliance_smb.requests import Message

_STAGED = b".kurabako-%d-%d.partial"
_TOGETHER = 256 << 10
"""A file up to this size is made, written, named and described in one round trip."""

_WRITES_AHEAD = 8
_WRITE = (
    requests.WRITE_DATA
    | requests.READ_DATA
    | requests.READ_ATTRIBUTES
    | requests.WRITE_ATTRIBUTES
    | requests.READ_EA
    | requests.WRITE_EA
    | requests.DELETE
)
_SECURITY = requests.READ_CONTROL | requests.WRITE_DAC | requests.WRITE_OWNER
_LINK = 11  # [MS-FSCC] 2.4.27, FileLinkInformation
_SPACE = struct.Struct("<QQQII")  # [MS-FSCC] 2.5.4


class SmbTarget:
    """The tree below the folder that `link` leads to. Any number of threads may use one object.

    A named stream comes as a file beside its own (`name:stream`). It is kept aside until all files have their names,
    since a file that takes its name replaces what had it, streams and all.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._top = (*link.prefix, *(name.encode() for name in link.place.folder))
        self._numbers = count()
        self._rights = _SECURITY
        self._lock = threading.Lock()
        self._streams: list[tuple[Path, Path]] = []
        """Streams that wait for `finish_files`: where they are, and what they are to be."""

    @property
    def title(self) -> str:
        return self._link.address.title

    def free_bytes(self) -> int | None:
        top = wire.encode_path(self._link.prefix)
        with as_os_errors():
            answers = self._round_trip(
                [
                    requests.create(top, requests.READ_ATTRIBUTES, requests.DIRECTORY_FILE),
                    requests.query_file_system(requests.FULL_SIZE, _SPACE.size),
                    requests.close(),
                ]
            )
            _require(answers[0])
        if isinstance(answers[1], Refused):
            return None
        _, available, _, sectors, sector = _SPACE.unpack_from(wire.parse_output(answers[1]))
        free: int = available * sectors * sector
        return free

    def prepare(self) -> None:
        for depth in range(len(self._link.prefix) + 1, len(self._top) + 1):
            with as_os_errors():
                self._make_directory(wire.encode_path(self._top[:depth]))
        with as_os_errors():
            if may_audit(self._link.channel(), self._name(())):
                self._rights |= requests.ACCESS_SYSTEM_SECURITY

    def make_directory(self, path: Path) -> None:
        if not path:
            return
        with as_os_errors():
            try:
                self._make_directory(self._name(path))
            except Refused as refused:
                if refused.status not in COLLISION:
                    raise
                self._remove(path)
                self._make_directory(self._name(path))

    def write_file(self, path: Path, entry: Entry, offset: int, data: Buffer) -> bool:
        if len(data) > _TOGETHER or b":" in path[-1]:
            unfinished = self.begin_file(path)
            try:
                unfinished.write(offset, data)
                return unfinished.finish(entry)
            except BaseException:
                unfinished.discard()
                raise
        staged = self._staged_name(path)
        messages = [requests.create(self._name(staged), _WRITE | self._rights, _FILE, disposition=requests.CREATE_NEW)]
        if data:
            messages.append(requests.write(data, offset))
        with as_os_errors():
            answers = self._round_trip([*messages, *self._finishing(path, entry)])
            for answer in answers[: len(messages)]:
                if isinstance(answer, Refused):
                    self._remove_quietly(staged)
                    raise answer
            return self._is_finished(answers[len(messages) :], staged, path, entry)

    def begin_file(self, path: Path) -> SmbUnfinished:
        staged = self._staged_name(path)
        channel = self._link.channel()
        with as_os_errors():
            message = requests.create(self._name(staged), _WRITE | self._rights, _FILE, disposition=requests.CREATE_NEW)
            handle, _ = wire.parse_created(channel.call(message))
        return SmbUnfinished(self, channel, handle, staged, path, self._link.payload)

    def make_link(self, path: Path, existing: Path) -> None:
        linked = requests.rename_information(self._name(path), replace=True)
        with as_os_errors():
            for answer in self._round_trip(
                [
                    requests.create(self._name(existing), requests.WRITE_ATTRIBUTES, _FILE),
                    requests.set_file(_LINK, linked),
                    requests.close(),
                ]
            ):
                _require(answer)

    def make_other(self, path: Path, entry: Entry) -> bool:
        if entry.type is not EntryType.SYMLINK:
            raise refusal(_NOT_SUPPORTED)
        is_directory = bool(entry.generic_attributes.get(wire.FILE_ATTRIBUTES, 0) & wire.DIRECTORY)
        options = requests.OPEN_REPARSE_POINT | (requests.DIRECTORY_FILE if is_directory else _FILE)
        with as_os_errors():
            self._remove(path)
            made, *answers = self._round_trip(
                [
                    requests.create(
                        self._name(path), _WRITE & ~requests.READ_DATA, options, disposition=requests.CREATE_NEW
                    ),
                    requests.ioctl(requests.SET_REPARSE_POINT, wire.pack_link(entry.link_target)),
                    requests.set_file(requests.BASIC, basic(entry)),
                    requests.close(),
                ]
            )
            _require(made)
            if isinstance(answers[0], Refused):
                self._remove_quietly(path)
                raise answers[0]
        return not isinstance(answers[1], Refused)

    def finish_files(self) -> Sequence[tuple[Path, OSError]]:
        failures = []
        for staged, path in self._streams:
            try:
                with as_os_errors():
                    self._move_stream(staged, path)
            except OSError as error:
                failures.append((path, error))
        return failures

    def describe_directory(self, path: Path, entry: Entry) -> bool:
        metadata = describing(entry)
        with as_os_errors():
            wanted = requests.READ_ATTRIBUTES | requests.WRITE_ATTRIBUTES
            if entry.xattrs:
                wanted |= requests.READ_EA | requests.WRITE_EA
            for access in (wanted | self._rights, wanted):
                message = requests.create(self._name(path), access, requests.DIRECTORY_FILE)
                opened, *answers = self._round_trip([message, *metadata])
                if not isinstance(opened, Refused):
                    break
            _require(opened)
        return is_described(entry, answers)

    def close(self) -> None:
        self._link.close()

    # --- files -------------------------------------------------------------------------------------------------------

    def _finishing(self, path: Path, entry: Entry, handle: bytes = requests.SAME_FILE) -> list[Message]:
        """What gives a file that is written its size, its name and its metadata, and closes it."""
        sparse = [requests.ioctl(requests.SET_SPARSE, handle=handle)] if _is_sparse(entry) else []
        sized = requests.set_file(requests.END_OF_FILE, entry.size.to_bytes(8, "little"), handle)
        named = requests.rename_information(self._name(path), replace=True)
        return [*sparse, sized, requests.set_file(requests.RENAME, named), *describing(entry)]

    def _is_finished(self, answers: Sequence[memoryview | Refused], staged: Path, path: Path, entry: Entry) -> bool:
        """Whether all of `_finishing` was done, given its answers; what is in the way of the name is removed."""
        sized, named, *described = answers[1:] if _is_sparse(entry) else answers
        if isinstance(sized, Refused):
            self._remove_quietly(staged)
            raise sized
        if isinstance(named, Refused):
            if named.status not in COLLISION:
                self._remove_quietly(staged)
                raise named
            self._replace(staged, path)
        return is_described(entry, described)

    def _replace(self, staged: Path, path: Path) -> None:
        """Gives the file its name where a directory, or a file that is read-only, has it."""
        try:
            self._remove(path)
            named = requests.rename_information(self._name(path), replace=True)
            for answer in self._round_trip(
                [
                    requests.create(self._name(staged), requests.DELETE, _FILE),
                    requests.set_file(requests.RENAME, named),
                    requests.close(),
                ]
            ):
                _require(answer)
        except Refused:
            self._remove_quietly(staged)
            raise

    def _keep_stream(self, staged: Path, path: Path) -> None:
        with self._lock:
            self._streams.append((staged, path))

    def _move_stream(self, staged: Path, path: Path) -> None:
        """Copies what was kept aside into the stream, and leaves the file's times and attributes as they were."""
        channel = self._link.channel()
        base = (*path[:-1], path[-1].partition(b":")[0])
        access = requests.READ_ATTRIBUTES | requests.WRITE_ATTRIBUTES
        holder, facts = wire.parse_created(channel.call(requests.create(self._name(base), access)))
        source, source_facts = wire.parse_created(
            channel.call(requests.create(self._name(staged), _WRITE, requests.DELETE_ON_CLOSE))
        )
        try:
            if facts.attributes & wire.READ_ONLY:
                channel.call(
                    requests.set_file(requests.BASIC, requests.basic_information(0, 0, 0, wire.NORMAL), holder)
                )
            self._copy(channel, source, path, source_facts.size)
            kept = settable(facts.attributes)
            before = requests.basic_information(facts.created, facts.accessed, facts.written, kept)
            channel.call(requests.set_file(requests.BASIC, before, holder))
        finally:
            close_handle(channel, source)
            close_handle(channel, holder)

    def _copy(self, channel: Channel, source: bytes, path: Path, size: int) -> None:
        message = requests.create(self._name(path), _WRITE, _FILE, disposition=requests.OPEN_IF)
        stream, _ = wire.parse_created(channel.call(message))
        try:
            channel.call(requests.set_file(requests.END_OF_FILE, size.to_bytes(8, "little"), stream))
            for at in range(0, size, self._link.payload):
                length = min(self._link.payload, size - at)
                piece = wire.parse_read(channel.call(requests.read(length, at, source)))
                channel.call(requests.write(piece, at, stream))
        finally:
            close_handle(channel, stream)

    # --- names -------------------------------------------------------------------------------------------------------

    def _name(self, path: Path) -> bytes:
        return wire.encode_path((*self._top, *path))

    def _staged_name(self, path: Path) -> Path:
        return (*path[:-1], _STAGED % (os.getpid(), next(self._numbers)))

    def _make_directory(self, name: bytes) -> None:
        made, closed = self._round_trip(
            [
                requests.create(
                    name,
                    requests.READ_ATTRIBUTES,
                    requests.DIRECTORY_FILE | requests.OPEN_REPARSE_POINT,
                    disposition=requests.OPEN_IF,
                ),
                requests.close(),
            ]
        )
        _, facts = wire.parse_created(_require(made))
        _require(closed)
        if facts.attributes & wire.REPARSE_POINT:
            raise Refused(_NOT_A_DIRECTORY, memoryview(b""))  # a link that would lead elsewhere

    def _remove(self, path: Path) -> None:
        """Removes whatever is at `path` (a directory only when empty), if anything is."""
        plain = requests.basic_information(0, 0, 0, wire.NORMAL)
        access = requests.DELETE | requests.WRITE_ATTRIBUTES
        opened, _, removed, _ = self._round_trip(
            [
                requests.create(self._name(path), access, requests.OPEN_REPARSE_POINT),
                requests.set_file(requests.BASIC, plain),  # what is read-only cannot be removed
                requests.set_file(requests.DISPOSITION, b"\1"),
                requests.close(),
            ]
        )
        if isinstance(opened, Refused) and opened.status in NOT_THERE:
            return
        _require(opened)
        _require(removed)

    def _remove_quietly(self, path: Path) -> None:
        try:
            self._remove(path)
        except (Refused, Broken):
            pass  # it lies there under a name that tells what it is

    def _round_trip(self, messages: Sequence[Message]) -> list[memoryview | Refused]:
        channel = self._link.channel()
        return _answers(channel, channel.send(messages))


class SmbUnfinished:
    """A file under its temporary name, with some writes under way."""

    def __init__(
        self, target: SmbTarget, channel: Channel, handle: bytes, staged: Path, path: Path, payload: int
    ) -> None:
        self._target = target
        self._channel = channel
        self._handle = handle
        self._staged = staged
        self._path = path
        self._payload = payload
        self._lock = threading.Lock()
        self._under_way: deque[Pending] = deque()

    def write(self, offset: int, data: Buffer) -> None:
        view = memoryview(data)
        with self._lock, as_os_errors():
            for at in range(0, len(view), self._payload):
                piece = view[at : at + self._payload]
                self._under_way += self._channel.send([requests.write(piece, offset + at, self._handle)])
                if len(self._under_way) > _WRITES_AHEAD:
                    self._channel.receive(self._under_way.popleft())

    def finish(self, entry: Entry) -> bool:
        with self._lock, as_os_errors():
            while self._under_way:
                self._channel.receive(self._under_way.popleft())
            if b":" in self._path[-1]:
                sized = requests.set_file(requests.END_OF_FILE, entry.size.to_bytes(8, "little"), self._handle)
                self._channel.call(sized)
                close_handle(self._channel, self._handle)
                self._target._keep_stream(self._staged, self._path)
                return True
            finishing = self._target._finishing(self._path, entry, self._handle)
            answers = _answers(self._channel, self._channel.send(finishing))
            return self._target._is_finished(answers, self._staged, self._path, entry)

    def discard(self) -> None:
        with self._lock:
            try:
                _answers(self._channel, list(self._under_way))
                close_handle(self._channel, self._handle)
            except Broken:
                return
        self._target._remove_quietly(self._staged)


_FILE = requests.NON_DIRECTORY_FILE
_NOT_SUPPORTED, _NOT_A_DIRECTORY = 0xC00000BB, 0xC0000103


def _is_sparse(entry: Entry) -> bool:
    return bool(entry.generic_attributes.get(wire.FILE_ATTRIBUTES, 0) & wire.SPARSE)


def _answers(channel: Channel, pending: Sequence[Pending]) -> list[memoryview | Refused]:
    answers: list[memoryview | Refused] = []
    for one in pending:
        try:
            answers.append(channel.receive(one))
        except Refused as refused:
            answers.append(refused)
    return answers


def _require(answer: memoryview | Refused) -> memoryview:
    if isinstance(answer, Refused):
        raise answer
    return answer
