"""Where a path of a DFS namespace leads: asked of the server that has the namespace, [MS-DFSC].

A namespace is a share whose folders are links into other servers, some with several targets that hold the same. The
first target that answers is taken.
"""

from __future__ import annotations

import logging
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from appliance.errors import KurabakoError
from appliance.text import T, Text
from appliance_smb import errors, requests, wire
from appliance_smb.address import PIPES, PORT, ShareAddress, is_server_name, is_share_name
from appliance_smb.channel import Broken, Channel, Refused
from appliance_smb.errors import ShareNotFound, ShareUnreachable
from appliance_smb.reading import close_handle

log = logging.getLogger(__name__)

Open = Callable[[ShareAddress], Channel]
"""Opens a share, logging in. Raises the errors of `appliance_smb.errors`."""

_DEPTH = 8
"""Links that lead to links at most, so that a circle ends."""

_MOST_TARGETS = 16
_LARGEST = 16384
_LEVEL = 4
_NOT_COVERED = 0xC0000257
_REFERRAL = struct.Struct("<HHI")  # [MS-DFSC] 2.2.4
_NAME_LIST = 0x0002


class Target:
    """Where the files of `address` are read, and after that went away, the next place where the same are.

    A place that has them under other paths is not taken: some are on their way already. `notes` says what happened.
    Raises what `open_share` raises.
    """

    def __init__(self, address: ShareAddress, open_share: Open) -> None:
        self._address = address
        self._open_share = open_share
        self.place, first = find(address, open_share)
        self._first: Channel | None = first
        self._is_dfs = first.is_dfs
        self._replacing = threading.Lock()
        self.notes: deque[Text] = deque()

    def open(self) -> Channel:
        """A channel to it, the first time the one by which it was found."""
        if (first := self._first) is not None:
            self._first = None
            return first
        place = self.place
        try:
            return self._open_share(place)
        except ShareUnreachable as gone:
            if place == self._address:
                raise
            with self._replacing:
                return self._replace(gone) if self.place == place else self._open_share(self.place)

    def _replace(self, gone: ShareUnreachable) -> Channel:
        def open_other(place: ShareAddress) -> Channel:
            if place == self.place:
                raise gone
            return self._open_share(place)

        try:
            place, channel = find(self._address, open_other)
        except KurabakoError as error:
            log.info("nothing takes the place of %s: %s", self.place.title, error)
            raise gone from None
        if channel.is_dfs or self._is_dfs or place.folder != self.place.folder:
            channel.close()
            raise gone
        log.info("%s is read at %s from now on", self._address.title, place.title)
        self.notes.append(
            T(
                "{server} went away in the middle. From here on it was read from {other}, which has the same (DFS).",
                server=self.place.server,
                other=place.server,
            )
        )
        self.place = place
        return channel


def find(address: ShareAddress, open_share: Open) -> tuple[ShareAddress, Channel]:
    """Where the files of `address` are, and a channel to that share: `address` itself where it is no link.

    Raises what `open_share` raises.
    """
    return _find(address, open_share, _DEPTH)


def _find(address: ShareAddress, open_share: Open, depth: int) -> tuple[ShareAddress, Channel]:
    try:
        channel = open_share(address)
    except ShareNotFound:
        targets = _referrals(address, open_share)  # a namespace of a whole domain is no share of the server asked
        if not targets:
            raise
    else:
        if not (channel.is_dfs and address.folder) or _has(channel, address):
            return address, channel
        channel.close()
        targets = _referrals(address, open_share)
    failure: KurabakoError = errors.share_refused(address, "", _NOT_COVERED)
    for target in targets if depth else ():
        try:
            return _find(target, open_share, depth - 1)
        except (ShareUnreachable, ShareNotFound) as error:
            log.info("%s leads to %s, which is of no use: %s", address.title, target.title, error)
            failure = error
    raise failure


def _has(channel: Channel, address: ShareAddress) -> bool:
    """Whether the path is on this server; one that is nowhere is, so that its opening says so."""
    name = wire.encode_path(tuple(part.encode() for part in (address.server, address.share, *address.folder)))
    try:
        handle, _ = wire.parse_created(channel.call(requests.create(name, requests.READ_ATTRIBUTES)))
    except Refused as refused:
        return refused.status != _NOT_COVERED
    except Broken as broken:
        raise errors.lost(address) from broken
    close_handle(channel, handle)
    return True


def _referrals(address: ShareAddress, open_share: Open) -> list[ShareAddress]:
    channel = open_share(replace(address, share=PIPES, folder=()))
    try:
        asked = requests.ioctl(requests.DFS_GET_REFERRALS, pack_request(address), _LARGEST, requests.SAME_FILE)
        return parse_referrals(bytes(wire.parse_ioctl(channel.call(asked))), address)
    except (Refused, Broken, ValueError, struct.error) as error:
        log.info("%s does not say where %s leads: %s", address.server, address.title, error)
        return []
    finally:
        channel.close()


def pack_request(address: ShareAddress) -> bytes:
    """Asks where a path leads, [MS-DFSC] 2.2.2."""
    path = "\\".join(("", address.server, address.share, *address.folder))
    return struct.pack("<H", _LEVEL) + (path + "\0").encode("utf-16-le", "surrogatepass")


def parse_referrals(answer: bytes, address: ShareAddress) -> list[ShareAddress]:
    """The places where the files of `address` are, the best first; [MS-DFSC] 2.2.4.

    Raises `ValueError` for an answer that makes no sense; targets that cannot be are left out.
    """
    consumed, count, _flags = _unpack(_REFERRAL, answer, 0)
    path = "\\".join(("", address.server, address.share, *address.folder))
    rest = path.encode("utf-16-le", "surrogatepass")[consumed:].decode("utf-16-le", "surrogatepass")
    if consumed % 2 or (rest and not rest.startswith("\\") and consumed):
        raise ValueError("it leads on from the middle of a name")
    below = tuple(name for name in rest.split("\\") if name)
    targets, at = [], _REFERRAL.size
    for _ in range(min(count, _MOST_TARGETS)):
        version, size = _unpack(struct.Struct("<HH"), answer, at)
        if size < 8:
            raise ValueError("a referral is cut off")
        network = _network_address(version, answer, at, size)
        target = _target(network, below, address) if network else None
        if target is not None and target not in targets:
            targets.append(target)
        at += size
    return targets


def _network_address(version: int, answer: bytes, at: int, size: int) -> str:
    """Where one referral leads: `\\\\server\\share\\folder`; empty for one of a kind that leads to no share."""
    if version == 1:  # 2.2.5.1: it stands in the referral itself
        return _text(answer[: at + size], at + 8)
    if version == 2:  # 2.2.5.2
        (offset,) = _unpack(struct.Struct("<H"), answer, at + 20)
        return _text(answer, at + offset)
    flags, _ttl, _path, _alternative, offset = _unpack(struct.Struct("<HIHHH"), answer, at + 6)
    return "" if flags & _NAME_LIST else _text(answer, at + offset)  # 2.2.5.3


def _target(network: str, below: tuple[str, ...], address: ShareAddress) -> ShareAddress | None:
    server, *names = [name for name in network.split("\\") if name] or [""]
    names = [*names, *below]
    if not is_server_name(server) or not names or not all(is_share_name(name) for name in names):
        return None
    return ShareAddress(server, names[0], tuple(names[1:]), PORT, address.user)


def _text(data: bytes, at: int) -> str:
    """A text with an end, of bounded length."""
    for end in range(at, min(len(data), at + 2048) - 1, 2):
        if data[end : end + 2] == b"\0\0":
            return data[at:end].decode("utf-16-le", "replace")
    raise ValueError("a text without an end")


def _unpack(form: struct.Struct, data: bytes, at: int) -> tuple[int, ...]:
    try:
        return form.unpack_from(data, at)
    except struct.error as error:
        raise ValueError("a referral is cut off") from error
