"""Hearing NAS boxes, Macs and Linux servers: `_smb._tcp` over mDNS (RFC 6762, RFC 6763)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

import ifaddr
from zeroconf import ServiceBrowser, ServiceInfo, ServiceListener, Zeroconf

from appliance_smb.announced import MOST, Announced, announced

log = logging.getLogger(__name__)

_SERVICE = "_smb._tcp.local."
_ANSWER_MS = 3000


def own_addresses() -> tuple[IPv4Address, ...]:
    """The addresses that this machine has on networks with others on them."""
    found = {IPv4Address(one.ip) for adapter in ifaddr.get_adapters() for one in adapter.ips if one.is_IPv4}
    return tuple(sorted(one for one in found if not one.is_loopback))


class MdnsDiscovery(ServiceListener):
    """Listens on `addresses`, the box's own; `on_change` is called from a thread when `found` changed.

    Raises `OSError` where multicast is not to be had.
    """

    def __init__(self, addresses: Sequence[IPv4Address], on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._found: dict[str, Announced] = {}
        self._lock = threading.Lock()
        self._zeroconf = Zeroconf(interfaces=[str(address) for address in addresses])
        self._browser = ServiceBrowser(self._zeroconf, _SERVICE, listener=self)

    @property
    def found(self) -> tuple[Announced, ...]:
        """The servers that are there, as they say."""
        with self._lock:
            return tuple(self._found.values())

    def close(self) -> None:
        self._zeroconf.close()

    # Called by the browser, from its thread.

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        with self._lock:
            if name not in self._found and len(self._found) >= MOST:
                return
        info = ServiceInfo(type_, name)
        try:
            known = info.request(zc, _ANSWER_MS)
        except Exception as error:  # what others send may break what it goes through; we go on listening
            log.debug("%r says nothing of use: %s", name, error)
            return
        title = name.removesuffix(f".{type_}")
        one = announced(info.server or "", title, info.parsed_scoped_addresses(), info.port or 0) if known else None
        if one is None:
            return
        with self._lock:
            changed = self._found.get(name) != one
            self._found[name] = one
        if changed:
            self._on_change()

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        self.add_service(zc, type_, name)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:  # noqa: ARG002
        with self._lock:
            known = self._found.pop(name, None)
        if known is not None:
            self._on_change()
