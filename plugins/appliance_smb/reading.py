"""Reading files of a share: small ones whole, in one round trip with all that is known of them; large ones ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from appliance.sources.interface import Path, SourceError
from appliance_smb import errors, requests, wire
from appliance_smb.channel import Broken, Channel, Pending, Refused
from appliance_smb.link import Link
from appliance_smb.requests import Message

SMALL = 512 << 10
"""Files up to this size are read in the round trip that opens them."""

_AHEAD = 6
"""Reads under way per large file: enough to keep a fast line busy while the bytes before are worked on."""

_TOGETHER, _SENT_TOGETHER = 16, 8
"""Small files under way at once in one session, and how many of them are asked for by one call of the system."""

_TRIES = 3
"""Times something is asked for, when the connection breaks each time."""

_FACTS = 65536
"""The most bytes of a security descriptor or a list of streams."""

_T = TypeVar("_T")

_READ = requests.READ_DATA | requests.READ_ATTRIBUTES
_READ_FILE = requests.NON_DIRECTORY_FILE | requests.SEQUENTIAL_ONLY


def asked(link: Link, path: Path, ask: Callable[[Channel], _T]) -> _T:
    """What `ask` gets through this thread's channel; it asks anew when the connection broke meanwhile.

    What the server refuses becomes an error about `path`; a server that cannot be had back is a lost source.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            return ask(link.channel())
        except Refused as refused:
            raise errors.path_error(path, refused.status) from refused
        except Broken:
            if not tries_left or link.ended_by is not None:
                break
    raise errors.lost(link.address, link.ended_by)


@dataclass
class Known:
    """What the server tells of a file; None where it would not, or was not asked. `failure`: it tells nothing."""

    security: bytes | None = None
    streams: Sequence[wire.Stream] | None = None
    eas: Sequence[tuple[bytes, bytes]] | None = None
    content: Whole | None = None
    failure: SourceError | None = None


class Whole:
    """A small file that was read when it was opened. `facts` are from then, `after` from when it was closed."""

    def __init__(self, data: memoryview, facts: wire.Facts, after: wire.Facts) -> None:
        self._rest = data
        self._changed = _differ(facts, after) or len(data) != after.size

    def readinto(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def changed(self) -> bool:
        return self._changed

    def close(self) -> None: ...


class Ahead:
    """An open file with some reads under way ahead of the reader.

    It ends where it ended when it was opened; what was appended since is seen by `changed`, and so is, where the server
    grants oplocks, every write of another client. When the connection breaks
    it is opened once more and read on, if it is still what it was.
    """

    def __init__(self, link: Link, path: Path, name: bytes, moment: int = 0) -> None:
        self._link = link
        self._path = path
        self._message = requests.create(name, _READ, _READ_FILE, moment=moment, oplock=requests.OPLOCK_II)
        self._asked = 0
        self._read = 0
        self._is_other = False
        self._under_way: deque[tuple[Pending, int]] = deque()
        self._rest = memoryview(b"")
        self._channel, self._handle, self.facts = asked(link, path, self._open)

    def readinto(self, buffer: memoryview) -> int:
        if not self._rest:
            self._rest = asked(self._link, self._path, self._next)
            self._read += len(self._rest)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def changed(self) -> bool:
        now = asked(self._link, self._path, self._look)
        # Times alone are not enough: a Samba server puts them off until whoever writes has closed the file.
        return self._is_other or _differ(self.facts, now) or self._handle in self._channel.written

    def close(self) -> None:
        try:
            self._forget()
            close_handle(self._channel, self._handle)
        except Broken:
            pass  # the server is away, and the handle with it
        self._channel.written.discard(self._handle)

    def _open(self, channel: Channel) -> tuple[Channel, bytes, wire.Facts]:
        return channel, *wire.parse_created(channel.call(self._message))

    def _stay_open(self, channel: Channel) -> None:
        """Opens it once more where the channel that it was opened through broke."""
        if not self._channel.is_broken:
            return
        self._under_way.clear()
        self._channel, self._handle, now = self._open(channel)
        self._is_other = self._is_other or _differ(self.facts, now)
        self._asked = self.facts.size if self._is_other else self._read

    def _look(self, channel: Channel) -> wire.Facts:
        self._stay_open(channel)
        message = requests.query_file(requests.NETWORK_OPEN, 56, self._handle)
        return wire.parse_network_open(wire.parse_output(self._channel.call(message)))

    def _next(self, channel: Channel) -> memoryview:
        """The next bytes of the file; none at its end."""
        self._stay_open(channel)
        self._ask()
        if not self._under_way:
            return memoryview(b"")
        pending, length = self._under_way.popleft()
        try:
            data = wire.parse_read(self._channel.receive(pending))
        except Refused as refused:
            if refused.status != errors.END_OF_FILE:
                raise
            data = memoryview(b"")
        if len(data) < length:  # it was cut short meanwhile
            self._asked = self.facts.size
            self._forget()
        self._ask()
        return data

    def _ask(self) -> None:
        """Sends reads ahead."""
        while len(self._under_way) < _AHEAD and self._asked < self.facts.size:
            length = min(self._link.payload, self.facts.size - self._asked)
            (pending,) = self._channel.send([requests.read(length, self._asked, self._handle)])
            self._asked += length
            self._under_way.append((pending, length))

    def _forget(self) -> None:
        """Takes the answers that nobody reads any more."""
        while self._under_way:
            pending, _ = self._under_way.popleft()
            try:
                self._channel.receive(pending)
            except Refused:
                pass


def _differ(before: wire.Facts, after: wire.Facts) -> bool:
    """Whether a file is another than before, by its size and times."""
    return (before.size, before.written, before.changed) != (after.size, after.written, after.changed)


@dataclass(frozen=True)
class Wanted:
    """A file to be read or, with a `size` of None, only to be described. `security` are the parts wanted.

    `moment`: of the earlier state that is wanted, or 0. `eas`: whether it has extended attributes.
    """

    path: Path
    name: bytes
    size: int | None
    security: int
    streams: bool
    moment: int = 0
    eas: bool = False


def read_many(link: Link, wanted: Sequence[Wanted]) -> list[Known]:
    """Opens, describes, reads and closes each file in a single round trip, several under way at once.

    The answers are in the order of what is wanted. A file that is larger than expected comes back as changed.
    """
    answers: list[Known | None] = [None] * len(wanted)
    for _ in range(_TRIES):
        left = [number for number, answer in enumerate(answers) if answer is None]
        try:
            if left:
                _read_each(link.channel(), wanted, left, answers)
        except Broken:
            if link.ended_by is not None:
                break
    return [answer or Known(failure=errors.lost(link.address, link.ended_by)) for answer in answers]


def _read_each(channel: Channel, wanted: Sequence[Wanted], numbers: list[int], answers: list[Known | None]) -> None:
    """Fills in the answers of these numbers. Raises `Broken`, with some filled in."""
    under_way: deque[tuple[int, list[Pending]]] = deque()

    def take() -> None:
        number, pending = under_way.popleft()
        try:
            answers[number] = _taken(channel, wanted[number], pending)
        except Refused as refused:
            answers[number] = Known(failure=errors.path_error(wanted[number].path, refused.status))

    for at in range(0, len(numbers), _SENT_TOGETHER):
        group = numbers[at : at + _SENT_TOGETHER]
        under_way += zip(group, channel.send_all([_round_trip(wanted[number]) for number in group]), strict=True)
        while len(under_way) > _TOGETHER - _SENT_TOGETHER:
            take()
    while under_way:
        take()


def _round_trip(wanted: Wanted) -> list[Message]:
    access = requests.READ_ATTRIBUTES if wanted.size is None else _READ
    if wanted.security:
        access |= requests.READ_CONTROL
    if wanted.security & requests.SACL:
        access |= requests.ACCESS_SYSTEM_SECURITY
    if wanted.eas:
        access |= requests.READ_EA
    options = _READ_FILE if wanted.size is not None else requests.OPEN_REPARSE_POINT
    messages = [requests.create(wanted.name, access, options, moment=wanted.moment)]
    if wanted.security:
        messages.append(requests.query_security(wanted.security, _FACTS))
    if wanted.streams:
        messages.append(requests.query_file(requests.STREAMS, _FACTS))
    if wanted.eas:
        messages.append(requests.query_file(requests.FULL_EA, _FACTS))
    if wanted.size:
        messages.append(requests.read(wanted.size))
    messages.append(requests.close(tell=wanted.size is not None))
    return messages


def _taken(channel: Channel, wanted: Wanted, pending: list[Pending]) -> Known:
    """Takes apart what came back for one file. Raises `Refused` where it could not be opened or read."""
    answers = [_answer(channel, one) for one in pending]
    created, closed = answers[0], answers[-1]
    if isinstance(created, Refused):
        raise created
    rest = iter(answers[1:])
    known = Known()
    if wanted.security:
        answer = next(rest)
        known.security = None if isinstance(answer, Refused) else bytes(wire.parse_output(answer))
    if wanted.streams:
        answer = next(rest)
        known.streams = None if isinstance(answer, Refused) else wire.parse_streams(wire.parse_output(answer))
    if wanted.eas:
        answer = next(rest)
        known.eas = None if isinstance(answer, Refused) else wire.parse_eas(wire.parse_output(answer))
    if wanted.size is None:
        return known
    data = memoryview(b"")
    if wanted.size:
        answer = next(rest)
        if not isinstance(answer, Refused):
            data = wire.parse_read(answer)
        elif answer.status != errors.END_OF_FILE:
            raise answer
    if isinstance(closed, Refused):
        raise closed
    known.content = Whole(data, wire.parse_created(created)[1], wire.parse_closed(closed))
    return known


def _answer(channel: Channel, pending: Pending) -> memoryview | Refused:
    try:
        return channel.receive(pending)
    except Refused as refused:
        return refused


def close_handle(channel: Channel, handle: bytes) -> None:
    """Closes a handle; one that the server has closed itself is as good."""
    try:
        channel.call(requests.close(handle))
    except Refused:
        pass


def may_audit(channel: Channel, name: bytes, moment: int = 0) -> bool:
    """Whether the user may read and set the SACLs of a directory and of what is in it: the security privilege."""
    access = requests.READ_CONTROL | requests.ACCESS_SYSTEM_SECURITY
    try:
        handle, _ = wire.parse_created(
            channel.call(requests.create(name, access, requests.DIRECTORY_FILE, moment=moment))
        )
    except Refused:
        return False
    close_handle(channel, handle)
    return True


def has_streams(channel: Channel, name: bytes) -> bool:
    """Whether files may have named streams there: a server that says otherwise need not be asked for each."""
    asked_for = [
        requests.create(name, requests.READ_ATTRIBUTES, requests.DIRECTORY_FILE),
        requests.query_file_system(requests.FILE_SYSTEM_ATTRIBUTES, _FACTS),
        requests.close(),
    ]
    _, told, _ = [_answer(channel, one) for one in channel.send(asked_for)]
    return isinstance(told, Refused) or wire.parse_has_streams(wire.parse_output(told))
