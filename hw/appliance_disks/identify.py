"""What a block device is to the box: a source with a stable name, or something that can only be seen.

Pure: from what udev and the kernel say to `FoundSource`s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from appliance.hardware import Board
from appliance.sources.interface import FoundSource
from appliance.text import T, Text
from appliance_disks.devices import BlockDevice, readable
from appliance_disks.mounts import Mount, Number
from appliance_disks.unclean import Left

_SYSTEM_PLACES = frozenset({"/", "/boot", "/boot/efi", "/boot/firmware", "/efi", "/usr", "/var"})
SNAPSHOT_VOLUME = "kurabako-"
"""How the names of logical volumes begin that are snapshots of the box's own."""

_LVM_UUID = len("LVM-") + 2 * 32
"""Letters of the name that LVM gives to a volume of people; its own inner ones have a suffix, such as -real or -cow."""

_ESCAPE = re.compile(r"((?:\\x[0-9a-fA-F]{2})+)")


@dataclass(frozen=True)
class Surroundings:
    """What else decides about a device: mounts, where the system and the box keep their own data, the board.

    `left` says of devices, by kernel name, that their file systems were not unmounted properly; `unreadable` are
    the types of file systems that nothing on this machine reads.
    """

    mounts: Sequence[Mount] = ()
    node_numbers: dict[str, Number] = field(default_factory=dict)
    swaps: frozenset[Number] = frozenset()
    own: frozenset[Number] = frozenset()
    udev: bool = True
    collect_system_disk: bool = False
    board: Board | None = None
    left: Mapping[str, Left] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Seen:
    """A device with the source it is. `mount_point` is where its whole file system can be read, if anywhere."""

    found: FoundSource
    device: BlockDevice
    mount_point: str | None


_NOTES: Mapping[Left, Callable[[str], Text]] = {
    Left.JOURNAL: lambda kind: T(
        "It was not ejected properly: the journal of its file system ({kind}) holds changes that were not carried out. "
        "The box writes nothing to it, so what was changed last may be missing from the backup. "
        "Connect it to its computer and eject it there.",
        kind=kind,
    ),
    Left.MARKED: lambda kind: T(
        "It was not ejected properly: its file system ({kind}) is marked so, and files on it may be damaged. "
        "Have it checked by its computer and eject it there.",
        kind=kind,
    ),
    Left.HIBERNATED: lambda _kind: T(
        "Windows sleeps on it, or was shut down with fast startup: what was changed last may be missing from the "
        "backup or damaged in it. Start its computer, and choose “Restart” instead of “Shut down” before taking the "
        "disk out."
    ),
}


def identify(devices: Sequence[BlockDevice], around: Surroundings) -> dict[str, Seen]:
    """The sources that `devices` are, by their ids."""
    system = _system_disks(devices, around)
    divided = {device.disk for device in devices if device.partition}
    seen: dict[str, Seen] = {}
    for device in sorted(devices, key=_age):
        if not _shown(device, device.disk in system, around):
            continue
        mount_point = _mount_point(device, around)
        name = _id(device)
        why_not = _why_not(device, device.disk in system, device.name in divided, around)
        if name in seen:  # a copy of a disk has the same UUID; the one that was there first keeps the name
            why_not = _second(device, seen[name].device)
            name = f"{name}/{device.name}"
        left = around.left.get(device.name)
        note = _NOTES[left](device.fs_type) if left is not None and why_not is None else None
        found = _found(name, device, mount_point, around.board)
        seen[name] = Seen(replace(found, collectable=why_not is None, why_not=why_not, note=note), device, mount_point)
    return seen


def _found(name: str, device: BlockDevice, mount_point: str | None, board: Board | None) -> FoundSource:
    about = device.properties
    label = _plain(about.get("ID_FS_LABEL_ENC", "")) or about.get("ID_FS_LABEL", "")
    model = " ".join(
        part
        for part in (about.get("ID_VENDOR", ""), _plain(about.get("ID_MODEL_ENC", "")) or about.get("ID_MODEL", ""))
        if part and part != "ATA"
    ).strip()
    slot = board.slot_of(about.get("ID_PATH", "")) if board else None
    facts: dict[str, str | int | bool | None] = {
        "device": device.node,
        "model": model,
        "serial": about.get("ID_SERIAL_SHORT") or about.get("ID_SERIAL", ""),
        "file_system": device.fs_type,
        "label": label,
        "uuid": about.get("ID_FS_UUID", ""),
        "by_id": _by_id(about.get("DEVLINKS", "")),
        "bus": about.get("ID_BUS", ""),
        "slot": slot,
        "mount_point": readable(mount_point) if mount_point else "",
    }
    return FoundSource(
        id=name,
        kind="disk",
        title=f"{label} ({model})" if label and model else label or model or device.node,
        size_bytes=device.size_bytes,
        removable=device.removable,
        medium=device.medium,
        details={key: value for key, value in facts.items() if value not in ("", None)},
    )


def _by_id(links: str) -> str:
    """Its name in /dev/disk/by-id; of several, the one with maker and serial number in it, not the bare number."""
    names = [link.removeprefix("/dev/disk/by-id/") for link in links.split() if link.startswith("/dev/disk/by-id/")]
    return min(names, key=lambda name: (name.startswith(("wwn-", "nvme-eui.", "nvme-nvme.")), name), default="")


def _id(device: BlockDevice) -> str:
    """The same for the same thing on any port: by what is on it, else by the disk's serial number.

    By place, or by the kernel's name, only where a thing has no name of its own; such a thing is never collectable.
    """
    about = device.properties
    part = f"-part{about.get('ID_PART_ENTRY_NUMBER') or about.get('PARTN', '')}" if device.partition else ""
    if uuid := about.get("ID_FS_UUID"):
        return f"disk:uuid/{uuid}"
    if serial := about.get("ID_SERIAL"):
        return f"disk:serial/{serial}{part}"
    if path := about.get("ID_PATH"):
        return f"disk:path/{path}{part}"
    return f"disk:kernel/{device.name}"


def _shown(device: BlockDevice, system: bool, around: Surroundings) -> bool:
    """Loop devices are shown when something is on them; what udev has not looked at, when nothing will tell more.

    What LVM makes volumes of, and the box's own snapshots, are no disks.
    """
    about = device.properties
    if _is_inside_lvm(about.get("DM_UUID", "")) or about.get("DM_LV_NAME", "").startswith(SNAPSHOT_VOLUME):
        return False
    if device.name.startswith("loop") and not device.fs_type:
        return False
    return device.recognised or system or not around.udev


def _is_inside_lvm(uuid: str) -> bool:
    return uuid.startswith("LVM-") and len(uuid) > _LVM_UUID


def _why_not(device: BlockDevice, system: bool, divided: bool, around: Surroundings) -> Text | None:
    about = device.properties
    if system and not around.collect_system_disk:
        return T("It is the disk that the box itself runs from.")
    if device.number in around.own:
        return T("The box keeps its own data on it.")
    if not device.recognised:
        return T("udev, which recognises file systems, is not running on this machine.")
    if unreadable := _unreadable(about.get("ID_FS_USAGE", ""), device.fs_type):
        return unreadable
    if about.get("ID_FS_USAGE") != "filesystem":
        if divided or about.get("ID_PART_TABLE_TYPE"):
            return T("It is divided into partitions, which are sources of their own.")
        return T("It has no file system.")
    if device.fs_type in around.unreadable and _mount_point(device, around) is None:
        return T(
            "Nothing on this machine reads its file system ({kind}). A computer that does can share it.",
            kind=device.fs_type,
        )
    if not about.get("ID_FS_UUID") and not about.get("ID_SERIAL"):
        return T("It has neither a file system ID nor a serial number to know it again by.")
    return None


def _unreadable(usage: str, kind: str) -> Text | None:
    """Why what udev found on a device is no file system that could be read, or None."""
    match usage, kind:
        case "crypto", "crypto_LUKS":
            return T("It is encrypted with LUKS and locked.")
        case "crypto", "BitLocker":
            return T("It is encrypted with BitLocker and locked.")
        case "crypto", _:
            return T("It is encrypted ({kind}) and locked.", kind=kind)
        case "raid", "LVM2_member" | "LVM1_member":
            return T("It is part of an LVM volume group.")
        case "raid", _:
            return T("It is a member of a RAID ({kind}).", kind=kind)
        case "other", "swap":
            return T("It is swap space.")
        case _, "zfs_member":
            return T("It is part of a ZFS pool.")
        case _:
            return None


def _second(device: BlockDevice, first: BlockDevice) -> Text:
    """Why a device whose file system ID was seen before is no source of its own."""
    if device.fs_type == "btrfs":
        return T("It belongs to the same file system as {other} and is collected with it.", other=first.node)
    return T("It has the same file system ID as {other}: one is a copy of the other.", other=first.node)


def _mount_point(device: BlockDevice, around: Surroundings) -> str | None:
    for mount in around.mounts:
        if mount.root == "/" and _on(mount, around) == device.number:
            return mount.point
    return None


def device_of(mount: Mount, node_numbers: Mapping[str, Number]) -> Number:
    """The device a mount is on; file systems with device numbers of their own name the node instead."""
    return node_numbers.get(mount.source, mount.device) if mount.device[0] == 0 else mount.device


def _on(mount: Mount, around: Surroundings) -> Number:
    return device_of(mount, around.node_numbers)


def _system_disks(devices: Iterable[BlockDevice], around: Surroundings) -> set[str]:
    """The whole disks below the root file system, its companions and swap."""
    by_name = {device.name: device for device in devices}
    numbers = {_on(mount, around) for mount in around.mounts if mount.point in _SYSTEM_PLACES} | around.swaps
    waiting = [device.name for device in by_name.values() if device.number in numbers]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if device := by_name.get(name):
            waiting += [device.disk, *device.below]
    return {by_name[name].disk for name in found if name in by_name}


def _age(device: BlockDevice) -> tuple[int, str]:
    """Sorts by when a device was plugged in."""
    return int(device.sequence) if device.sequence.isdigit() else 0, device.name


def _plain(encoded: str) -> str:
    """udev's `ID_…_ENC` in plain letters: what is not safe in a file name stands there as `\\xNN`."""

    def decode(match: re.Match[str]) -> str:
        return bytes.fromhex(match[1].replace("\\x", "")).decode("utf-8", "replace")

    return _ESCAPE.sub(decode, encoded).strip()
