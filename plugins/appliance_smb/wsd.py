"""Hearing Windows computers, and NAS boxes that do as they do: WS-Discovery over the LAN's multicast, IPv4.

Devices say that they come (Hello) and go (Bye), and answer who asks for them (Probe). Their name is asked for over
HTTP; only from the machine that sent the message, so that nobody can have us ask another.
"""

from __future__ import annotations

import logging
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address
from urllib.parse import urlsplit
from uuid import uuid4

import requests

from appliance_smb import soap
from appliance_smb.announced import MOST, Announced, announced
from appliance_smb.soap import Device

log = logging.getLogger(__name__)

ASK_EVERY = 300.0
"""Seconds between two probes; what was not heard of in three of them is there no more."""

_ASK_AGAIN = 10.0
"""Seconds before a device is asked for its name once more: a Hello may be sent as often as anybody likes."""

_SECONDS = 5.0
"""For an answer over HTTP, from the first byte to the last."""

_PER_ROUND = 32
"""Names asked for between two looks at what else has come."""


class WsDiscovery:
    """Listens in a thread of its own on `addresses`, the box's own; `on_change` is called there when `found` changed.

    Raises `OSError` where multicast is not to be had.
    """

    def __init__(
        self,
        addresses: Sequence[IPv4Address],
        on_change: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_change = on_change
        self._clock = clock
        self._found: dict[str, tuple[Announced, float]] = {}
        self._asked: dict[str, float] = {}
        self._next_probe = clock()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._web = requests.Session()
        self._web.trust_env = False  # no proxy: it is on the LAN or nowhere
        self._selector = selectors.DefaultSelector()
        self._askers: list[socket.socket] = []
        try:
            self._listen(addresses)
        except BaseException:
            self._release()
            raise
        self._thread = threading.Thread(target=self._run, name="ws-discovery", daemon=True)
        self._thread.start()

    @property
    def found(self) -> tuple[Announced, ...]:
        """The computers that are there, as they say."""
        with self._lock:
            return tuple(one for one, _ in self._found.values())

    def close(self) -> None:
        """Ends within a second, or leaves a thread behind that ends with the answer it waits for."""
        self._ended.set()
        self._thread.join(timeout=1)

    def _listen(self, addresses: Sequence[IPv4Address]) -> None:
        ears = self._socket("", soap.PORT)
        for address in addresses:
            member = socket.inet_aton(soap.GROUP) + address.packed
            ears.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            asker = self._socket(str(address), 0)
            asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, address.packed)
            asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, struct.pack("B", 1))
            self._askers.append(asker)

    def _socket(self, address: str, port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._selector.register(made, selectors.EVENT_READ)
        if port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server on the box itself listens there, too
        made.bind((address, port))
        made.setblocking(False)
        return made

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                now = self._clock()
                if now >= self._next_probe:
                    self._next_probe = now + ASK_EVERY
                    self._let_go(now - 3 * ASK_EVERY)
                    self._ask(soap.probe(uuid4()))
                ready = self._selector.select(timeout=min(1.0, self._next_probe - now))
                for key, _ in ready[:_PER_ROUND]:
                    assert isinstance(key.fileobj, socket.socket)
                    self._hear(key.fileobj)
        finally:
            self._release()

    def _hear(self, ear: socket.socket) -> None:
        try:
            message, (sender, _port) = ear.recvfrom(soap.LARGEST)
            devices = soap.parse(message)
        except (OSError, ValueError) as error:
            log.debug("a message that says nothing: %s", error)
            return
        for device in devices:
            if device.leaves:
                self._forget(device.endpoint, sender)
            elif device.may_be_computer:
                self._notice(device, sender)

    def _notice(self, device: Device, sender: str) -> None:
        now = self._clock()
        if not device.places:
            if self._may_ask(f"{sender} where {device.endpoint}", now):
                self._ask(soap.resolve(uuid4(), device.endpoint))
            return
        place = next((one for one in device.places if _is_at(one, sender)), None)
        if place is None or not self._may_ask(f"{sender} {device.endpoint}", now):
            return
        try:
            name = soap.computer_name(self._fetch(place, device.endpoint))
        except (requests.RequestException, ValueError) as error:
            log.debug("%s does not say its name: %s", sender, error)
            self._next_probe = min(self._next_probe, now + 2 * _ASK_AGAIN)  # it may be about to come back
            return
        one = announced(name, name, [sender]) if name else None
        if one is not None:
            self._remember(device.endpoint, one, now)

    def _may_ask(self, whom: str, now: float) -> bool:
        """Whether it was not asked a short while ago; and remembers that it is now."""
        if now - self._asked.get(whom, -_ASK_AGAIN) < _ASK_AGAIN:
            return False
        if len(self._asked) >= 4 * MOST:
            self._asked.clear()
        self._asked[whom] = now
        return True

    def _fetch(self, place: str, endpoint: str) -> bytes:
        """The device's answer to what it is, of bounded length and within bounded time."""
        deadline = time.monotonic() + _SECONDS
        question = soap.get(uuid4(), endpoint)
        headers = {"Content-Type": "application/soap+xml", "User-Agent": "kurabako"}
        answer = bytearray()
        with self._web.post(
            place, question, headers=headers, timeout=_SECONDS, stream=True, allow_redirects=False
        ) as response:
            response.raise_for_status()
            for part in response.iter_content(4096):
                answer += part
                if len(answer) > soap.LARGEST or time.monotonic() > deadline:
                    raise ValueError("too long an answer")
        return bytes(answer)

    def _remember(self, endpoint: str, one: Announced, now: float) -> None:
        with self._lock:
            known = self._found.get(endpoint)
            if known is None and len(self._found) >= MOST:
                return
            self._found[endpoint] = (one, now)
        if known is None or known[0] != one:
            self._on_change()

    def _forget(self, endpoint: str, sender: str) -> None:
        with self._lock:
            known = self._found.get(endpoint)
            if known is None or sender not in known[0].addresses:
                return  # only itself may say that it goes
            del self._found[endpoint]
        self._asked.pop(f"{sender} {endpoint}", None)  # it may come again under another name
        self._on_change()

    def _let_go(self, before: float) -> None:
        with self._lock:
            old = [endpoint for endpoint, (_, heard) in self._found.items() if heard < before]
            for endpoint in old:
                del self._found[endpoint]
        if old:
            self._on_change()

    def _ask(self, message: bytes) -> None:
        for asker in self._askers:
            with suppress(OSError):  # that network is away for now
                for _ in range(2):  # SOAP-over-UDP, appendix I: a datagram may be lost
                    asker.sendto(message, (soap.GROUP, soap.PORT))

    def _release(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()
        self._web.close()


def _is_at(place: str, sender: str) -> bool:
    """Whether a web address is one of the machine that sent it."""
    try:
        parts = urlsplit(place)
        return parts.scheme == "http" and parts.hostname == sender and parts.username is None and parts.port != 0
    except ValueError:
        return False
