"""Mounts a disk for the box, which has no right to: `python -m appliance_disks.mount_unit mount|unmount NAME PLACE`.

The unit kurabako-mount@.service runs this as root when udev announces the disk `/dev/NAME`. `PLACE` is the folder in
which the box finds its mounts; the disk appears there as `NAME`. Options are those of `appliance_disks.mounting`.

The folder above `PLACE` belongs to the box's user. So that whoever takes over that user cannot make root mount or
unmount anywhere else, nothing is reached by a path: `PLACE` must be a folder of root's and no link, and all else is
named relative to its descriptor.

A disk that /etc/fstab names is left to those who mount it by that: it may be the vault's own, which must be writable.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pyudev

from appliance.errors import KurabakoError
from appliance.text import T
from appliance_disks.mounting import CannotMount, mount_read_only, move_mount, unmount

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def mount(name: str, place: int, fstab: Path = Path("/etc/fstab")) -> None:
    """Mounts `/dev/name` at `name` in the folder with descriptor `place`, unless `fstab` names it. `CannotMount`."""
    try:
        device = pyudev.Devices.from_name(pyudev.Context(), "block", name)
    except pyudev.DeviceNotFoundError as error:
        raise CannotMount(T("{device} is no longer connected.", device=f"/dev/{name}")) from error
    if is_named_in(fstab, device):
        return
    tree = mount_read_only(f"/dev/{name}", device.properties.get("ID_FS_TYPE", ""))
    try:
        try:
            os.mkdir(name, 0o700, dir_fd=place)
        except FileExistsError:
            pass  # left over where the power was cut before `/run` was emptied
        target = os.open(name, _FOLDER, dir_fd=place)
        try:
            move_mount(tree, target)
        finally:
            os.close(target)
    finally:
        os.close(tree)


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


def remove(name: str, place: int) -> None:
    """Unmounts `name` in the folder `place`, even while it is read, and removes its folder. May be repeated."""
    os.fchdir(place)
    unmount(name)
    try:
        os.rmdir(name, dir_fd=place)
    except FileNotFoundError:
        pass


def open_place(path: Path) -> int:
    """A descriptor of the folder for mounts; `CannotMount` unless it is one that only root can change."""
    refusal = CannotMount(
        T("{folder} is not a folder that belongs to root, so nothing is mounted in it.", folder=str(path)),
        todo=T("Remove it and type: systemd-tmpfiles --create kurabako.conf"),
    )
    try:
        place = os.open(path, _FOLDER)
    except OSError as error:
        raise refusal from error
    found = os.fstat(place)
    if found.st_uid != 0 or found.st_mode & 0o022:
        os.close(place)
        raise refusal
    return place


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the arguments say; 1 and a sentence on stderr when that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m appliance_disks.mount_unit")
    parser.add_argument("action", choices=["mount", "unmount"])
    parser.add_argument("name", type=_name)
    parser.add_argument("place", type=Path)
    asked = parser.parse_args(arguments)
    try:
        place = open_place(asked.place)
        try:
            (mount if asked.action == "mount" else remove)(asked.name, place)
        finally:
            os.close(place)
    except (KurabakoError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the journal
        return 1
    return 0


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]+", value):
        raise argparse.ArgumentTypeError("not the name of a disk")
    return value


if __name__ == "__main__":
    sys.exit(main())
