"""Does for the box what only root may: `python -I -m appliance_disks.helper`, on a socket as its standard input.

The unit kurabako-disks@.service runs it for each connection of the box; a box that runs as root starts it itself. One
request, one answer, each a line of JSON of at most `asking.LINE_LIMIT` bytes:

    {"do": "mount", "disk": "sdb1", "time_offset": 540}    {"ok": true}, and with it the descriptor of the mount
    {"do": "snapshot", "disk": "dm-2"}                     the same, or {"ok": true} alone where there can be none
    {"do": "health", "disk": "sdb"}                        {"ok": true, "smartctl": {…}}

or `{"ok": false, "error": {…}}`. A mount is read-only, without devices, programs or set-uid, and stands nowhere in the
tree of directories: only who holds the descriptor can read it. It ends when the connection does.

Whoever takes over the box's user can have disks read through this, and nothing else: a request names a disk, never a
path, an option or a program. A disk that /etc/fstab names is left to those who mount it by that: it may be the vault's
own, which must be writable.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyudev

from appliance.errors import KurabakoError
from appliance.text import T
from appliance_disks.fuse import mount_by_fuse
from appliance_disks.health import read_health
from appliance_disks.mounting import CannotMount, NoDriver, mount_read_only
from appliance_disks.snapshots import take_snapshot

FSTAB = Path("/etc/fstab")

_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_A_DAY = 24 * 60
_ENOUGH = 60.0
"""Seconds in which a connection must make its request."""


class BadRequest(KurabakoError):
    """A request that is none."""

    code = "disks.bad-request"


def serve(connection: socket.socket, fstab: Path = FSTAB) -> None:
    """Answers the one request of this connection, and keeps what was mounted until its other end closes it."""
    connection.settimeout(_ENOUGH)
    release: Callable[[], None] = _nothing
    descriptor: int | None = None
    try:
        request = _request(connection)
        answer: dict[str, Any] = {"ok": True}
        if request["do"] == "mount":
            descriptor, release = _mount(request, fstab)
        elif request["do"] == "snapshot":
            if (snapshot := take_snapshot(_disk(request))) is not None:
                descriptor, release = snapshot.descriptor, snapshot.remove
        else:
            answer["smartctl"] = read_health(f"/dev/{_disk(request).sys_name}")
    except KurabakoError as error:
        answer = {"ok": False, "error": error.to_json()}
    line = json.dumps(answer).encode() + b"\n"
    try:
        if descriptor is None:
            connection.sendall(line)
            return
        socket.send_fds(connection, [line], [descriptor])
        os.close(descriptor)
        connection.settimeout(None)
        connection.recv(1)  # the end
    except OSError:
        pass  # the box is gone: there is nobody to tell
    finally:
        release()


def _nothing() -> None:
    """The mount ends with its descriptor."""


def _request(connection: socket.socket) -> Mapping[str, Any]:
    line = b""
    while not line.endswith(b"\n"):
        part = connection.recv(4096)
        line += part
        if not part or len(line) > 4096:
            raise _bad()
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise _bad() from None
    if not isinstance(request, dict) or request.get("do") not in ("mount", "snapshot", "health"):
        raise _bad()
    return request


def _disk(request: Mapping[str, Any]) -> pyudev.Device:
    """The device that a request names, which is one of this machine's disks."""
    name = request.get("disk")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _bad()
    try:
        return pyudev.Devices.from_name(pyudev.Context(), "block", name)
    except pyudev.DeviceNotFoundError as error:
        raise CannotMount(T("{device} is no longer connected.", device=f"/dev/{name}")) from error


def _mount(request: Mapping[str, Any], fstab: Path) -> tuple[int, Callable[[], None]]:
    """A descriptor of the mount, and what is to be done when nobody needs it any more."""
    device = _disk(request)
    offset = request.get("time_offset", 0)
    if not isinstance(offset, int) or isinstance(offset, bool) or abs(offset) > _A_DAY:
        raise _bad()
    node, fs_type = f"/dev/{device.sys_name}", device.properties.get("ID_FS_TYPE", "")
    if is_named_in(fstab, device):
        raise CannotMount(
            T("{device} is in /etc/fstab, so the box leaves mounting it to the system.", device=node),
            todo=T("Mount it, or take it out of /etc/fstab."),
        )
    try:
        return mount_read_only(node, fs_type, offset), _nothing
    except NoDriver:
        fuse = mount_by_fuse(node, fs_type, offset)
        return fuse.descriptor, fuse.end


def is_named_in(fstab: Path, device: pyudev.Device) -> bool:
    """Whether a line of `fstab` (fstab(5)) mounts this device, by node, link, UUID or label."""
    known = device.properties
    names = {device.device_node, *device.device_links}
    for tag, key in (
        ("UUID", "ID_FS_UUID"),
        ("LABEL", "ID_FS_LABEL"),
        ("PARTUUID", "ID_PART_ENTRY_UUID"),
        ("PARTLABEL", "ID_PART_ENTRY_NAME"),
    ):
        if known.get(key):
            names.add(f"{tag}={known[key]}")
    try:
        lines = fstab.read_text("utf-8", "surrogateescape").splitlines()
    except FileNotFoundError:
        return False
    return any(_first_field(line) in names for line in lines)


def _first_field(line: str) -> str:
    """What the line mounts, its octal escapes undone."""
    field = (line.split("#", 1)[0].split() or [""])[0].replace('"', "")
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _bad() -> BadRequest:
    return BadRequest(T("The request to the disk helper is not understood."))


def main() -> None:
    """Serves the connection that is the standard input, whose end is its own.

    Signals that are meant to end it are ignored: who shuts the machine down or presses Ctrl-C ends the box too, and
    what the box still reads cannot be taken away before.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with closing(socket.socket(fileno=os.dup(sys.stdin.fileno()))) as connection:
        serve(connection)


if __name__ == "__main__":
    main()
