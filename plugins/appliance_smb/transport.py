"""Connections of smbprotocol that believe no length which a message cannot have."""

from __future__ import annotations

from typing import Any

from smbprotocol.connection import Connection
from smbprotocol.exceptions import SMBException
from smbprotocol.transport import Tcp


class _Bounded(Tcp):  # type: ignore[misc]
    """Ends when a longer message is announced than there can be.

    A length has 24 bits ([MS-SMB2] 2.1), and smbprotocol asks for as much memory as 32 say: more than a gigabyte when
    a web server answers with `HTTP`.
    """

    def _recv(self, length: int, timeout: float) -> tuple[bytes | bytearray | None, float]:
        if length > self.MAX_SIZE:
            raise SMBException(f"a message of {length} bytes was announced")
        received: tuple[bytes | bytearray | None, float] = super()._recv(length, timeout)
        return received


class BoundedConnection(Connection):  # type: ignore[misc]
    """A connection to whatever answers at the address."""

    @property
    def transport(self) -> Any:
        return self._transport

    @transport.setter
    def transport(self, made: Any) -> None:
        self._transport = _Bounded(made.server, made.port, made.timeout) if type(made) is Tcp else made
