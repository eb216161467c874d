"""Servers that announce themselves: what they say, made fit to be shown. Pure.

An announcement proves nothing: anybody on the network may send any. It is shown to people, and where the name of a
server that a *person* wrote into the settings is known to nobody else, its address is taken from here. Nobody ever logs
in to a server only because it announced itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address

from appliance.text import visible
from appliance_smb.address import PORT

MOST = 256
"""Announcements kept at most, of each kind; what comes when there are as many is dropped."""

_MOST_ADDRESSES = 4
_LONGEST_TITLE = 64
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Announced:
    """A server as it announced itself. `host` is how the settings may name it, `title` what its owner calls it."""

    host: str
    title: str
    addresses: tuple[str, ...]
    port: int = PORT

    @property
    def label(self) -> str:
        """What tells it from others: the first part of its name, or its address."""
        return self.host.casefold() if _is_address(self.host) else self.host.casefold().partition(".")[0]

    def is_called(self, server: str) -> bool:
        """Whether a person who writes `server` means this one."""
        name = server.casefold().rstrip(".")
        return name in (self.host.casefold(), self.label, f"{self.label}.local") or name in self.addresses


def announced(host: str, title: str, addresses: Iterable[str], port: int = PORT) -> Announced | None:
    """What was announced, cleaned; None for what nobody could reach.

    A server whose name is not written in plain letters is named by its address, and its name is its title.
    """
    reachable = tuple(dict.fromkeys(one for one in addresses if _is_reachable(one)))[:_MOST_ADDRESSES]
    if not reachable or not 0 < port < 65536:
        return None
    host = host.rstrip(".")
    title = visible(unicodedata.normalize("NFC", title or host).strip())[:_LONGEST_TITLE].strip()
    return Announced(host if _HOST.fullmatch(host) else reachable[0], title or reachable[0], reachable, port)


def merged(some: Iterable[Announced]) -> tuple[Announced, ...]:
    """Each server once, by name, though it announced itself in more than one way: by one label, or from one address.

    A name that mDNS knows is the better one: whoever has it can be found by it.
    """
    found: list[Announced] = []
    for one in sorted(some, key=lambda one: (not one.host.endswith(".local"), one.label, one.host, one.addresses)):
        for at, known in enumerate(found):
            if known.label == one.label or set(known.addresses) & set(one.addresses):
                addresses = tuple(dict.fromkeys((*known.addresses, *one.addresses)))[:_MOST_ADDRESSES]
                found[at] = replace(known, addresses=addresses)
                break
        else:
            found.append(one)
    return tuple(sorted(found, key=lambda one: one.label))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_reachable(text: str) -> bool:
    """Whether it is the address of another machine."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_multicast or address.is_loopback or address.is_reserved)
