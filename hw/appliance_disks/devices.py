"""The block devices of this machine, as udev and sysfs tell them."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyudev

from appliance.sources.interface import Medium
from appliance_disks.mounts import Number

_SECTOR = 512  # sysfs counts sectors of 512 bytes, whatever the disk's own sector size is
_CONTROL = "/run/udev/control"


@dataclass(frozen=True)
class BlockDevice:
    """A disk or a partition.

    `disk` is the kernel's name of the whole disk it belongs to (its own, when it is one), `below` those of the
    devices it is made of (a RAID's members, a mapped device's parts). `recognised` says that udev has looked at it, so
    that `properties` tell what is on it. `sequence` is another one for each disk that was plugged in and each medium
    that was loaded since the machine started. `looked_at_ns` is when udev looked last, which it does when a disk comes
    and whenever a program that wrote to it is done.
    """

    name: str
    node: str
    number: Number
    disk: str
    partition: bool
    size_bytes: int
    removable: bool
    recognised: bool
    sequence: str
    below: tuple[str, ...]
    properties: Mapping[str, str]
    medium: Medium = Medium.UNKNOWN
    looked_at_ns: int = 0

    @property
    def fs_type(self) -> str:
        """The file system's type, as udev calls it."""
        return self.properties.get("ID_FS_TYPE", "")


def list_devices(context: pyudev.Context) -> list[BlockDevice]:
    """Every block device that holds anything, by name; without media and memory disks are left out."""
    found = []
    for device in context.list_devices(subsystem="block"):
        try:
            seen = _look(device)
        except (OSError, KeyError, ValueError, pyudev.DeviceNotFoundError):
            continue  # it went away while it was looked at
        if seen.size_bytes and not seen.name.startswith(("ram", "zram")):
            found.append(seen)
    return sorted(found, key=lambda seen: seen.name)


def udev_runs() -> bool:
    """Whether a udev daemon listens, or may: only root is allowed to knock."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as knock:
        try:
            knock.connect(_CONTROL)
        except PermissionError:
            return True
        except OSError:
            return False
    return True


def is_there(number: Number, sequence: str) -> bool:
    """Whether the very disk that was looked at before is still connected."""
    folder = Path(f"/sys/dev/block/{number[0]}:{number[1]}")
    try:
        if (folder / "size").read_text().strip() == "0":
            return False  # the card was taken out of its reader
    except OSError:
        return False
    for candidate in (folder / "diskseq", folder / ".." / "diskseq"):
        try:
            return not sequence or candidate.read_text().strip() == sequence
        except OSError:
            continue
    return True


def readable(text: str) -> str:
    """A name from the system for people: bytes in it that are no UTF-8 are shown as `\\xNN`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _medium(disk: pyudev.Device) -> Medium:
    """What the kernel takes the disk for; a USB bridge that hides it makes every disk spin, which does no harm."""
    rotational = disk.attributes.get("queue/rotational", b"").strip()
    return {b"0": Medium.SOLID, b"1": Medium.SPINNING}.get(rotational, Medium.UNKNOWN)


def _looked_at(major: str, minor: str) -> int:
    try:
        return Path(f"/run/udev/data/b{major}:{minor}").stat().st_mtime_ns
    except OSError:
        return 0


def _look(device: pyudev.Device) -> BlockDevice:
    properties = {str(key): readable(str(value)) for key, value in device.properties.items()}
    partition = device.device_type == "partition"
    disk = device.parent if partition and device.parent is not None else device
    removable = disk.attributes.get("removable", b"0").strip() == b"1"
    return BlockDevice(
        name=device.sys_name,
        node=device.device_node or f"/dev/{device.sys_name}",
        number=(int(properties["MAJOR"]), int(properties["MINOR"])),
        disk=disk.sys_name,
        partition=partition,
        size_bytes=int(device.attributes.get("size", b"0")) * _SECTOR,
        removable=removable or properties.get("ID_BUS") == "usb" or device.sys_name.startswith("loop"),
        # A device that udev has only just been told of has none of udev's own properties yet.
        recognised=device.is_initialized or any(name.startswith("ID_") for name in properties),
        medium=_medium(disk),
        sequence=properties.get("DISKSEQ", ""),
        below=tuple(sorted(item.name for item in (Path(device.sys_path) / "slaves").glob("*"))),
        properties=properties,
        looked_at_ns=_looked_at(properties["MAJOR"], properties["MINOR"]),
    )
