"""Earlier states of a share that its server keeps: VSS "previous versions"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from appliance_smb import requests, wire
from appliance_smb.channel import Channel, Refused
from appliance_smb.reading import close_handle

_MOST = 64 * 1024
"""Bytes of the list that are asked for at most: 1,300 names. VSS keeps 512, other servers some more."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Snapshot:
    """An earlier state by its name, `@GMT-YYYY.MM.DD-HH.MM.SS`, and its moment as a FILETIME."""

    name: str
    moment: int


def newest_snapshot(channel: Channel, root: bytes) -> Snapshot | None:
    """The newest earlier state of the directory `root`; None when the server keeps none, or does not tell."""
    opening = requests.create(root, requests.LIST_DIRECTORY | requests.READ_ATTRIBUTES, requests.DIRECTORY_FILE)
    handle, _ = wire.parse_created(channel.call(opening))
    try:
        asked = requests.ioctl(requests.ENUMERATE_SNAPSHOTS, most=_MOST, handle=handle)
        names = wire.parse_snapshots(wire.parse_ioctl(channel.call(asked)))
    except Refused:
        return None
    finally:
        close_handle(channel, handle)
    found = [snapshot for name in names if (snapshot := _snapshot(name)) is not None]
    return max(found, key=lambda snapshot: snapshot.moment, default=None)


def _snapshot(name: str) -> Snapshot | None:
    try:
        seconds = (wire.parse_moment(name) - _EPOCH).total_seconds()
    except ValueError:
        return None
    return Snapshot(name, wire.filetime(int(seconds) * 1_000_000_000))
