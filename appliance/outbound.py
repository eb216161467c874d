"""Nothing but the listed protocols is spoken with the cloud's host, whatever code of this process tries (DNT 20-10).

The terms of a service may forbid even the attempt: a fallback to plain HTTP, a probe of another port, an ICMP echo. So
the attempt is stopped before a name is asked for or a packet leaves. It is seen by a Python audit hook, which hears of
every socket of the process; what a plugin's own process or a C library does on its own is not seen.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import KurabakoError
from appliance.text import T


class ForbiddenProtocol(KurabakoError):
    """Something tried to speak to the cloud's host what the contract does not list."""

    code = "outbound.forbidden"


REMEMBERED = 64


@dataclass(frozen=True)
class Permitted:
    """The cloud's host, the TCP ports that may be used there, and the clause that says so."""

    host: str
    ports: frozenset[int]
    clause: str


class OutboundGuard:
    """Stops what is not permitted. One for a process, since an audit hook stays for ever; at first all is permitted."""

    def __init__(self) -> None:
        self._on_forbidden: Callable[[str, int], None] = lambda _, __: None
        self._permitted: Permitted | None = None
        self._addresses: set[str] = set()
        self._told: set[tuple[str, int]] = set()
        self._installed = False
        self._inside = threading.local()

    def permit(
        self,
        permitted: Permitted | None,
        addresses: Collection[str] = (),
        on_forbidden: Callable[[str, int], None] = lambda _, __: None,
    ) -> None:
        """From now on only this is spoken with the host, and with these addresses that it has; None: anything.

        `on_forbidden` is told of each host and port (0: raw packets) that was tried, once.
        """
        if permitted != self._permitted:
            self._told.clear()
        self._permitted, self._addresses, self._on_forbidden = permitted, set(addresses), on_forbidden
        if permitted is not None and not self._installed:
            self._installed = True
            sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if not event.startswith("socket.") or self._permitted is None or getattr(self._inside, "busy", False):
            return
        if event == "socket.__new__" and len(arguments) >= 4:
            self._look_at_socket(arguments[2], arguments[3])
        elif event == "socket.getaddrinfo":
            self._look_at(arguments[0], arguments[1])
        elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple) and len(arguments[1]) > 1:
            self._look_at(arguments[1][0], arguments[1][1])

    def _look_at_socket(self, kind: object, protocol: object) -> None:
        raw = kind == socket.SOCK_RAW or protocol in (socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6)
        if raw:
            self._refuse("*", 0)

    def _look_at(self, host: object, port: object) -> None:
        permitted = self._permitted
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if permitted is None or not isinstance(name, str):
            return
        name = name.casefold().rstrip(".")
        if name != permitted.host and name not in self._addresses:
            return
        number = int(port) if isinstance(port, (int, str)) and str(port).isdigit() else 0
        if number not in permitted.ports:
            self._refuse(name, number)

    def _refuse(self, host: str, port: int) -> None:
        assert self._permitted is not None
        if (host, port) not in self._told:
            self._told.add((host, port))
            self._inside.busy = True
            try:
                self._on_forbidden(host, port)
            finally:
                self._inside.busy = False
        raise ForbiddenProtocol(
            T("Port {port} of {host} may not be used ({clause}).", port=port, host=host, clause=self._permitted.clause)
            if port
            else T("Raw packets may not be sent ({clause}).", clause=self._permitted.clause),
            safe=T("No packet left this box."),
        )


GUARD = OutboundGuard()
"""The process's own."""


class Connections:
    """The connections of this process to a host, or to names below it: `hang_up` breaks them off, whoever waits there.

    Where they lead is heard as they are made, so that nobody has to ask a name server which may be away. At most
    `REMEMBERED` addresses are known; a name that has more is no cloud's.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host.casefold()
        self._port = port
        self._addresses: OrderedDict[str, None] = OrderedDict()
        self._thread = threading.local()
        sys.addaudithook(self._hear)

    def hang_up(self) -> int:
        """Ends every connection; how many there were."""
        ended = 0
        for name in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if not str(name.readlink()).startswith("socket:"):
                    continue
                with socket.socket(fileno=os.dup(int(name.name))) as connection:
                    if connection.family not in (socket.AF_INET, socket.AF_INET6):
                        continue
                    address, port = connection.getpeername()[:2]
                    if port == self._port and address in self._addresses:
                        connection.shutdown(socket.SHUT_RDWR)
                        ended += 1
        return ended

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "socket.getaddrinfo":
            name = str(arguments[0]).casefold()
            self._thread.asked = name == self._host or name.endswith(f".{self._host}")
        elif event == "socket.connect" and getattr(self._thread, "asked", False):
            address = arguments[1]
            if isinstance(address, tuple) and len(address) > 1 and address[1] == self._port:
                self._addresses[address[0]] = None
                while len(self._addresses) > REMEMBERED:
                    self._addresses.popitem(last=False)
