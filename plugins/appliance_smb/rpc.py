"""Asking a server for the list of its shares: NetrShareEnum, as bytes. Pure.

Sources: C706 (DCE 1.1: RPC) 12.6 for the packets and 14 for the encoding of values (NDR), [MS-SRVS] 2.2 and 3.1.4.8 for
what is asked. What a server answers may be anything: every length is checked against what there is, every count
against a limit. `ValueError` says that it makes no sense.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

PIPE = "srvsvc"
LARGEST = 1 << 20
"""Bytes of an answer at most; a thousand shares with long remarks are some 300 kB."""

_MOST_SHARES = 4096
_FRAGMENT = 4280  # what Windows itself asks for
_HEADER = struct.Struct("<BBBBIHHI")  # C706 12.6.3.1
_LITTLE_ENDIAN = 0x10
_REQUEST, _RESPONSE, _BIND, _BIND_ACK = 0, 2, 11, 12
_FIRST, _LAST = 1, 2

_SRVSVC = UUID("4b324fc8-1670-01d3-1278-5a47bf6ee188").bytes_le + struct.pack("<HH", 3, 0)
_NDR = UUID("8a885d04-1ceb-11c9-9fe8-08002b104860").bytes_le + struct.pack("<HH", 2, 0)
_SHARE_ENUM = 15

_DISK = 0
_KIND_MASK = 0x0FFFFFFF  # [MS-SRVS] 2.2.2.4: the higher bits say whether it is special or temporary


@dataclass(frozen=True)
class Share:
    """A share as its server lists it: `remark` is what its administrator wrote about it."""

    name: str
    kind: int
    remark: str

    @property
    def is_disk(self) -> bool:
        """Whether it holds files, and is no printer and no pipe."""
        return self.kind & _KIND_MASK == _DISK

    @property
    def is_hidden(self) -> bool:
        """Whether it is one that Windows does not show, such as `C$`."""
        return self.name.endswith("$")


def bind() -> bytes:
    """Says that the server service is meant, and that values are encoded as NDR."""
    body = struct.pack("<HHI", _FRAGMENT, _FRAGMENT, 0) + struct.pack("<B3xHBx", 1, 0, 1) + _SRVSVC + _NDR
    return _packet(_BIND, 1, body)


def share_enum(server: str) -> bytes:
    """Asks for all shares, with type and remark (level 1)."""
    name = _pointer(1) + _string(f"\\\\{server}")
    container = struct.pack("<III", 1, 1, 2) + struct.pack("<II", 0, 0)
    stub = name + container + struct.pack("<I", 0xFFFFFFFF) + _pointer(3) + struct.pack("<I", 0)
    return _packet(_REQUEST, 2, struct.pack("<IHH", len(stub), 0, _SHARE_ENUM) + stub)


def check_bound(packet: bytes) -> None:
    """Raises `ValueError` unless the answer to `bind` says that we may ask."""
    kind, _, body = _take_apart(packet)
    if kind != _BIND_ACK:
        raise ValueError("the server refuses to be asked")
    (length,) = _unpack("<H", body, 8)
    results = 10 + length + (-(10 + length) % 4)
    count, result = _unpack("<B3xH", body, results)
    if count != 1 or result:
        raise ValueError("the server knows no such service")


def stub(receive: Callable[[int], bytes]) -> bytes:
    """The values in an answer, whose fragments come through `receive`, which hands out exactly as many bytes."""
    whole = bytearray()
    while True:
        header = receive(_HEADER.size)
        length = _HEADER.unpack(header)[5]
        if length < _HEADER.size:
            raise ValueError("a fragment shorter than its header")
        kind, flags, body = _take_apart(header + receive(length - _HEADER.size))
        if kind != _RESPONSE:
            raise ValueError("the server could not answer")
        whole += body[8:]
        if len(whole) > LARGEST:
            raise ValueError("an answer that is too long")
        if flags & _LAST:
            return bytes(whole)
        if len(body) <= 8:
            raise ValueError("a fragment without content")


def parse_shares(answer: bytes) -> list[Share]:
    """The shares in the answer to `share_enum`, as the server has them: names are not yet fit for anything."""
    values = _Values(answer)
    level, switch, container = values.take("<III")
    if (level, switch) != (1, 1):
        raise ValueError("another level than was asked for")
    shares: list[Share] = []
    if container:
        count, array = values.take("<II")
        if array:
            (most,) = values.take("<I")
            if count > most or count > _MOST_SHARES:
                raise ValueError("more shares than a server has")
            facts = [values.take("<III") for _ in range(count)]
            for name, kind, remark in facts:
                shares.append(Share(values.string() if name else "", kind, values.string() if remark else ""))
    _total, resume = values.take("<II")
    if resume:
        values.take("<I")
    (status,) = values.take("<I")
    if status:
        raise ValueError(f"the server answers with error {status}")
    return shares


class _Values:
    """Values one after the other, C706 14.2."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, form: str) -> tuple[int, ...]:
        self._at += -self._at % 4
        found = _unpack(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return found

    def string(self) -> str:
        most, offset, count = self.take("<III")
        end = self._at + 2 * count
        if offset or count > most or end > len(self._data):
            raise ValueError("a text is cut off")
        text = self._data[self._at : end].decode("utf-16-le", "replace")
        self._at = end
        return text.partition("\0")[0]


def _unpack(form: str, data: bytes, at: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, data, at)
    except struct.error as error:
        raise ValueError("a value is cut off") from error


def _packet(kind: int, call: int, body: bytes) -> bytes:
    return _HEADER.pack(5, 0, kind, _FIRST | _LAST, _LITTLE_ENDIAN, _HEADER.size + len(body), 0, call) + body


def _take_apart(packet: bytes) -> tuple[int, int, bytes]:
    """What kind of packet it is, its flags and its body."""
    version, _minor, kind, flags, form, length, authentication, _call = _unpack(_HEADER.format, packet, 0)
    if version != 5 or form & 0xFF != _LITTLE_ENDIAN or length != len(packet) or authentication:
        raise ValueError("no RPC packet, or of a kind nobody asked for")
    return kind, flags, packet[_HEADER.size :]


def _pointer(referent: int) -> bytes:
    return struct.pack("<I", referent)


def _string(text: str) -> bytes:
    """A text with its end, C706 14.3.4.2."""
    data = (text + "\0").encode("utf-16-le", "surrogatepass")
    count = len(data) // 2
    return struct.pack("<III", count, 0, count) + data + bytes(-len(data) % 4)
