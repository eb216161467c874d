"""A moment of a file system that goes on being written to: a read-only snapshot, kept only while it is read.

Only for what is mounted to be written; what the box mounts itself, nobody writes. Btrfs makes a snapshot of a
subvolume; one that holds further subvolumes is read as it is, since they would be empty in it. LVM makes one of a
logical volume, as long as its group has free extents for what changes meanwhile: a tenth of the volume, or the
rest.
"""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyudev

from appliance.errors import KurabakoError
from appliance_disks.identify import SNAPSHOT_VOLUME, device_of
from appliance_disks.mounting import mount_read_only
from appliance_disks.mounts import current_mounts, device_of_node

log = logging.getLogger(__name__)

PREFIX = ".kurabako-"
"""Begins the names of snapshots, so that one that a power cut left behind is known as such, and replaced."""

_PATIENCE = 60.0
_SECTOR = 512  # LVM refuses a size that is no multiple of it


@dataclass(frozen=True)
class Snapshot:
    """A descriptor of the snapshot's tree, and what takes the snapshot away again."""

    descriptor: int
    remove: Callable[[], None]


def take_snapshot(device: pyudev.Device) -> Snapshot | None:
    """A snapshot of the mounted, writable file system on `device`; None where none can be had."""
    try:
        place = _written_at(device)
        if place is None:
            return None
        if device.properties.get("ID_FS_TYPE") == "btrfs":
            return _of_btrfs(place)
        if device.properties.get("DM_UUID", "").startswith("LVM-"):
            return _of_lvm(device)
    except (OSError, subprocess.SubprocessError, KurabakoError) as error:
        log.warning("no snapshot of %s: %s", device.device_node, error)
    return None


def _written_at(device: pyudev.Device) -> str | None:
    """Where the whole file system on `device` is mounted to be written, if it is."""
    number = (os.major(device.device_number), os.minor(device.device_number))
    nodes = {mount.source: found for mount in current_mounts() if (found := device_of_node(mount.source))}
    places = (one.point for one in current_mounts() if one.root == "/" and device_of(one, nodes) == number)
    return next((place for place in places if not os.statvfs(place).f_flag & os.ST_RDONLY), None)


def _of_btrfs(place: str) -> Snapshot | None:
    for left in Path(place).glob(f"{PREFIX}*"):
        if not left.is_symlink():
            _run("btrfs", "subvolume", "delete", str(left))
    if _run("btrfs", "subvolume", "list", "-o", place).strip():
        return None
    snapshot = f"{place}/{PREFIX}{secrets.token_hex(4)}"
    _run("btrfs", "subvolume", "snapshot", "-r", place, snapshot)

    def remove() -> None:
        _run("btrfs", "subvolume", "delete", snapshot)

    return _opened(lambda: os.open(snapshot, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), remove)


def _of_lvm(device: pyudev.Device) -> Snapshot | None:
    about = device.properties
    group, volume = about["DM_VG_NAME"], about["DM_LV_NAME"]
    name = f"{SNAPSHOT_VOLUME}{volume}"
    if name in _run("lvs", "--noheadings", "-o", "lv_name", group).split():
        _run("lvremove", "--yes", "--quiet", f"{group}/{name}")
    wanted = int(_run("lvs", "--noheadings", "--nosuffix", "--units=b", "-o", "lv_size", f"{group}/{volume}")) // 10
    wanted -= wanted % _SECTOR
    free = int(_run("vgs", "--noheadings", "--nosuffix", "--units=b", "-o", "vg_free", group))
    if not free:
        return None
    size = f"--size={wanted}b" if wanted <= free else "--extents=100%FREE"
    made = ("--snapshot", "--permission=r", "--monitor=n", size, f"--name={name}")
    _run("lvcreate", "--yes", "--quiet", *made, f"{group}/{volume}")

    def remove() -> None:
        _run("lvremove", "--yes", "--quiet", f"{group}/{name}")

    node = f"/dev/{group}/{name}"
    return _opened(lambda: mount_read_only(node, about.get("ID_FS_TYPE", "")), remove)


def _opened(open_it: Callable[[], int], remove: Callable[[], None]) -> Snapshot:
    try:
        return Snapshot(open_it(), remove)
    except BaseException:
        remove()
        raise


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if done.returncode:
        log.warning("%s: %s", " ".join(command), done.stderr.strip()[-500:])
        done.check_returncode()
    return done.stdout
