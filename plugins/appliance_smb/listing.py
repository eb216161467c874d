"""Which shares a server has, as one of its users may know."""

from __future__ import annotations

import struct

from appliance.text import T
from appliance_smb import errors, requests, rpc, wire
from appliance_smb.address import ShareAddress, is_share_name
from appliance_smb.channel import Broken, Channel, Pending, Refused
from appliance_smb.credentials import Login
from appliance_smb.link import open_channel
from appliance_smb.reading import close_handle
from appliance_smb.rpc import Share

_ACCESS = requests.READ_DATA | requests.WRITE_DATA | requests.READ_ATTRIBUTES
_AT_ONCE = 65536
_MORE = 0x80000005  # BUFFER_OVERFLOW: there is more to be read


def list_shares(server: ShareAddress, login: Login) -> list[Share]:
    """The shares with files that the server lists to this user, by name; `server` is the address of its pipes.

    Logs in with one attempt. Raises the errors of `appliance_smb.errors`.
    """
    channel = open_channel(server, login)
    try:
        return _fit(rpc.parse_shares(_ask(channel, server.server)))
    except Refused as refused:
        raise errors.share_refused(server, login.user, refused.status) from refused
    except (Broken, ValueError, struct.error) as error:
        raise errors.unreachable(server, T("it does not list its shares in a way that makes sense")) from error
    finally:
        channel.close()


def _fit(shares: list[Share]) -> list[Share]:
    return sorted({one.name: one for one in shares if one.is_disk and is_share_name(one.name)}.values(), key=_name)


def _name(share: Share) -> str:
    return share.name


def _ask(channel: Channel, server: str) -> bytes:
    """Calls NetrShareEnum through the pipe of the server service ([MS-SRVS] 2.1); the values it answers with."""
    handle, _ = wire.parse_created(channel.call(requests.create(rpc.PIPE.encode("utf-16-le"), _ACCESS)))
    try:
        rpc.check_bound(_Answer(channel, handle, rpc.bind()).packet())
        return rpc.stub(_Answer(channel, handle, rpc.share_enum(server)).receive)
    finally:
        close_handle(channel, handle)


class _Answer:
    """What comes back through a pipe after something was written to it."""

    def __init__(self, channel: Channel, handle: bytes, question: bytes) -> None:
        self._channel = channel
        self._handle = handle
        asked = requests.ioctl(requests.PIPE_TRANSCEIVE, question, _AT_ONCE, handle)
        self._rest = bytes(wire.parse_ioctl(self._body(channel.send([asked])[0])))

    def packet(self) -> bytes:
        """All that came at once."""
        return self._rest

    def receive(self, length: int) -> bytes:
        """The next bytes, exactly so many."""
        while len(self._rest) < length:
            (asked,) = self._channel.send([requests.read(_AT_ONCE, 0, self._handle)])
            more = wire.parse_read(self._body(asked))
            if not more:
                raise ValueError("the answer is cut off")
            self._rest += bytes(more)
        taken, self._rest = self._rest[:length], self._rest[length:]
        return taken

    def _body(self, asked: Pending) -> memoryview:
        try:
            return self._channel.receive(asked)
        except Refused as refused:
            if refused.status == _MORE:
                return refused.body
            raise
