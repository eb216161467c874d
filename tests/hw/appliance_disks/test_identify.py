"""What each kind of disk is to the box; every case a value, no machine needed."""

from __future__ import annotations

from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

import appliance_disks
from appliance.hardware import load_board
from appliance.sources.interface import FoundSource
from appliance.status.board import Posted
from appliance.status.lines import status_lines
from appliance.text import add_catalogues
from appliance.web.render import Renderer
from appliance_disks.devices import BlockDevice
from appliance_disks.identify import Seen, Surroundings, device_of, identify
from appliance_disks.mounts import Mount
from appliance_disks.source import snapshot_path
from appliance_disks.unclean import Left
from tests.support.status import good_source, simple_status

add_catalogues(Path(appliance_disks.__file__).parent / "locale")

UUID = "5e1f0a52-6a3b-4a54-9d3e-2f6f3c1f7a10"
USB = {
    "ID_BUS": "usb",
    "ID_VENDOR": "BUFFALO",
    "ID_MODEL_ENC": "HD-PCFSU3\\x20\\x20",
    "ID_SERIAL": "BUFFALO_HD_0001-0:0",
}
EXT4 = {"ID_FS_USAGE": "filesystem", "ID_FS_TYPE": "ext4", "ID_FS_UUID": UUID}


def device(name: str, number: tuple[int, int], **properties: str) -> BlockDevice:
    disk = name.rstrip("0123456789") if name.startswith(("sd", "vd")) else name
    part = {"ID_PART_ENTRY_NUMBER": name.removeprefix(disk)} if name != disk else {}
    return BlockDevice(
        name=name,
        node=f"/dev/{name}",
        number=number,
        disk=disk,
        partition=name != disk,
        size_bytes=1000,
        removable=properties.get("ID_BUS") == "usb",
        recognised=True,
        sequence=str(number[1] // 16 + 1),
        below=(),
        properties={**part, **properties},
    )


def mount(number: tuple[int, int], point: str, root: str = "/", source: str = "none") -> Mount:
    return Mount(number, root, point, "ext4", source)


ROOT = mount((254, 1), "/")


def one(seen: dict[str, Seen]) -> Seen:
    (only,) = seen.values()
    return only


def test_a_usb_disk_with_a_label() -> None:
    links = "/dev/disk/by-uuid/x /dev/disk/by-id/wwn-0x5000-part1 /dev/disk/by-id/usb-BUFFALO_HD_0001-0:0-part1"
    disk = device("sdb1", (8, 17), **USB, **EXT4, ID_FS_LABEL="__", ID_FS_LABEL_ENC="写真\\x202026", DEVLINKS=links)
    seen = one(identify([disk], Surroundings(mounts=[ROOT])))
    assert seen.found.id == f"disk:uuid/{UUID}"
    assert seen.found.title == "写真 2026 (BUFFALO HD-PCFSU3)"
    assert seen.found.collectable
    assert seen.found.removable
    assert seen.found.size_bytes == 1000
    assert seen.found.details == {
        "device": "/dev/sdb1",
        "model": "BUFFALO HD-PCFSU3",
        "serial": "BUFFALO_HD_0001-0:0",
        "file_system": "ext4",
        "label": "写真 2026",
        "uuid": UUID,
        "by_id": "usb-BUFFALO_HD_0001-0:0-part1",
        "bus": "usb",
    }
    assert seen.mount_point is None
    assert snapshot_path(seen) == f"/disk/写真 2026-{UUID}"


def test_a_mount_without_a_device_of_its_own_is_on_its_node() -> None:
    nodes = {"/dev/sdb1": (8, 17)}
    assert device_of(mount((0, 38), "/srv", source="/dev/sdb1"), nodes) == (8, 17), "btrfs"
    assert device_of(mount((0, 5), "/proc"), nodes) == (0, 5)
    assert device_of(mount((254, 3), "/srv", source="/dev/sdb1"), nodes) == (254, 3)


def test_a_label_cannot_lead_out_of_its_path() -> None:
    disk = device("sdb", (8, 16), **USB, **EXT4, ID_FS_LABEL_ENC="..\\x2f..\\x2fetc\\x0a")
    seen = one(identify([disk], Surroundings()))
    assert snapshot_path(seen) == f"/disk/.._.._etc-{UUID}"


def test_another_port_is_the_same_disk() -> None:
    here = device("sdb1", (8, 17), **USB, **EXT4, ID_PATH="pci-0000:00:14.0-usb-0:1:1.0-scsi-0:0:0:0")
    there = device("sdf1", (8, 81), **USB, **EXT4, ID_PATH="pci-0000:00:14.0-usb-0:4:1.0-scsi-0:0:0:0")
    assert set(identify([here], Surroundings())) == set(identify([there], Surroundings()))


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        (EXT4, f"disk:uuid/{UUID}"),
        ({**EXT4, "ID_FS_UUID": "", "ID_SERIAL": "WD_42"}, "disk:serial/WD_42-part1"),
        ({"ID_SERIAL": "WD_42"}, "disk:serial/WD_42-part1"),
        ({"ID_PATH": "pci-0000:00:1f.2-ata-1"}, "disk:path/pci-0000:00:1f.2-ata-1-part1"),
        ({}, "disk:kernel/sdb1"),
    ],
)
def test_names_from_the_most_to_the_least_stable(properties: dict[str, str], expected: str) -> None:
    assert list(identify([device("sdb1", (8, 17), **properties)], Surroundings())) == [expected]


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"ID_FS_USAGE": "crypto", "ID_FS_TYPE": "crypto_LUKS", "ID_FS_UUID": UUID}, "LUKS"),
        ({"ID_FS_USAGE": "crypto", "ID_FS_TYPE": "BitLocker"}, "BitLocker"),
        ({"ID_FS_USAGE": "crypto", "ID_FS_TYPE": "apple_core"}, "encrypted (apple_core)"),
        ({"ID_FS_USAGE": "raid", "ID_FS_TYPE": "LVM2_member", "ID_FS_UUID": UUID}, "LVM"),
        ({"ID_FS_USAGE": "raid", "ID_FS_TYPE": "linux_raid_member", "ID_FS_UUID": UUID}, "RAID (linux_raid_member)"),
        ({"ID_FS_USAGE": "filesystem", "ID_FS_TYPE": "zfs_member", "ID_FS_UUID": "1"}, "ZFS"),
        ({"ID_FS_USAGE": "other", "ID_FS_TYPE": "swap", "ID_FS_UUID": UUID}, "swap"),
        ({}, "no file system"),
        ({"ID_PART_TABLE_TYPE": "gpt"}, "partitions"),
        ({"ID_FS_USAGE": "filesystem", "ID_FS_TYPE": "vfat"}, "know it again"),
    ],
)
def test_what_can_be_seen_but_not_collected_says_why(properties: dict[str, str], words: str) -> None:
    seen = one(identify([device("sdb", (8, 16), **properties)], Surroundings()))
    assert not seen.found.collectable
    assert words in str(seen.found.why_not)


def test_the_disk_that_the_box_runs_from() -> None:
    devices = [
        device("vda", (254, 0), ID_PART_TABLE_TYPE="gpt", ID_SERIAL="system"),
        device("vda1", (254, 1), **EXT4),
        device("vda2", (254, 2), ID_FS_USAGE="filesystem", ID_FS_TYPE="ext4", ID_FS_UUID="home"),
        device("sdb", (8, 16), ID_FS_USAGE="filesystem", ID_FS_TYPE="ext4", ID_FS_UUID="data"),
    ]
    around = Surroundings(mounts=[ROOT])
    seen = identify(devices, around)
    own = [name for name, one in seen.items() if "runs from" in str(one.found.why_not)]
    assert own == ["disk:serial/system", f"disk:uuid/{UUID}", "disk:uuid/home"]
    assert seen["disk:uuid/data"].found.collectable
    allowed = identify(devices, replace(around, collect_system_disk=True))
    assert allowed["disk:uuid/home"].found.collectable
    assert "partitions" in str(allowed["disk:serial/system"].found.why_not)


def test_the_system_is_found_below_lvm_swap_and_btrfs() -> None:
    mapped = replace(device("dm-0", (253, 0), **EXT4), below=("sda2",))
    part = device("sda2", (8, 2), ID_FS_USAGE="raid", ID_FS_TYPE="LVM2_member", ID_FS_UUID="pv")
    swap = device("sdc1", (8, 33), ID_FS_USAGE="other", ID_FS_TYPE="swap", ID_FS_UUID="swap")
    boot = device("sdd1", (8, 49), ID_FS_USAGE="filesystem", ID_FS_TYPE="btrfs", ID_FS_UUID="boot")
    around = Surroundings(
        mounts=[mount((253, 0), "/"), mount((0, 40), "/boot", "/@boot", "/dev/sdd1")],
        node_numbers={"/dev/sdd1": (8, 49)},
        swaps=frozenset({(8, 33)}),
    )
    for name, seen in identify([mapped, part, device("sda", (8, 0)), swap, boot], around).items():
        assert "runs from" in str(seen.found.why_not), name


def test_what_the_box_keeps_its_own_data_on() -> None:
    disk = device("sdb1", (8, 17), **USB, **EXT4)
    seen = one(identify([disk], Surroundings(mounts=[ROOT], own=frozenset({(8, 17)}))))
    assert "own data" in str(seen.found.why_not)


def test_a_mounted_disk_shows_where() -> None:
    disk = device("sdb1", (8, 17), **USB, **EXT4)
    mounts = [ROOT, mount((8, 17), "/srv/part", root="/part"), mount((8, 17), "/mnt/\udce9t\udce9")]
    seen = one(identify([disk], Surroundings(mounts=mounts)))
    assert seen.mount_point == "/mnt/\udce9t\udce9", "where all of it is seen, not a part"
    assert seen.found.details["mount_point"] == "/mnt/\\xe9t\\xe9", "and people can read it"


def test_a_copy_of_a_disk_does_not_take_its_name() -> None:
    first = device("sdc", (8, 32), **EXT4)
    copy = device("sdb", (8, 16), **EXT4)
    early, late = replace(first, sequence="9"), replace(copy, sequence="10")
    seen = identify([late, early], Surroundings())
    assert seen[f"disk:uuid/{UUID}"].device == early
    assert seen[f"disk:uuid/{UUID}"].found.collectable
    assert "copy" in str(seen[f"disk:uuid/{UUID}/sdb"].found.why_not)


def test_several_disks_of_one_btrfs() -> None:
    btrfs = {**EXT4, "ID_FS_TYPE": "btrfs"}
    seen = identify([device("sdb", (8, 16), **btrfs), device("sdc", (8, 32), **btrfs)], Surroundings())
    assert "same file system as /dev/sdb" in str(seen[f"disk:uuid/{UUID}/sdc"].found.why_not)


def test_slots_come_from_the_board() -> None:
    disk = device("sda1", (8, 1), **EXT4, ID_BUS="ata", ID_PATH="pci-0000:00:1f.2-ata-2")
    seen = one(identify([disk], Surroundings(board=load_board("generic-pc"))))
    assert seen.found.details["slot"] == 2


def test_without_udev_disks_are_shown_but_not_trusted() -> None:
    disk = replace(device("sdb", (8, 16)), recognised=False)
    assert identify([disk], Surroundings(udev=True)) == {}, "udev has not got to it yet"
    assert "udev" in str(one(identify([disk], Surroundings(udev=False))).found.why_not)


def test_a_loop_device_is_shown_when_something_is_on_it() -> None:
    assert identify([device("loop0", (7, 0))], Surroundings(udev=False)) == {}
    assert one(identify([device("loop0", (7, 0), **EXT4)], Surroundings())).found.collectable


@pytest.mark.parametrize("layer", ["-real", "-cow", "-tpool"])
def test_what_lvm_makes_volumes_of_is_no_disk(layer: str) -> None:
    volume = "LVM-" + "a" * 64
    devices = [device("dm-0", (253, 0), DM_UUID=volume, **EXT4), device("dm-1", (253, 1), DM_UUID=volume + layer)]
    assert list(identify(devices, Surroundings(mounts=[ROOT]))) == [f"disk:uuid/{UUID}"]


NOTED = {
    Left.JOURNAL: "the journal of its file system (ext4) holds changes",
    Left.MARKED: "its file system (ext4) is marked so",
    Left.HIBERNATED: "Windows sleeps on it",
}


@pytest.mark.parametrize("how", Left)
def test_one_that_was_not_unmounted_properly_is_noted(how: Left) -> None:
    around = Surroundings(mounts=[ROOT], left={"sdb1": how})
    seen = identify([device("sdb1", (8, 17), **EXT4), device("sdc1", (8, 33), **EXT4 | {"ID_FS_UUID": "1"})], around)
    noted, other = (seen[f"disk:uuid/{uuid}"].found for uuid in (UUID, "1"))
    assert noted.collectable and other.collectable
    assert NOTED[how] in str(noted.note)
    assert other.note is None


def test_a_file_system_that_nothing_here_reads() -> None:
    disk = device("sdb1", (8, 17), **EXT4 | {"ID_FS_TYPE": "apfs"})
    around = Surroundings(mounts=[ROOT], unreadable=frozenset({"apfs"}))
    assert "Nothing on this machine reads its file system (apfs)" in str(one(identify([disk], around)).found.why_not)
    mounted = replace(around, mounts=[ROOT, mount((8, 17), "/media/mac")])
    assert one(identify([disk], mounted)).found.collectable, "a person has mounted it"


def said_of(disk: FoundSource, language: str) -> tuple[str, str]:
    """What the serial line and the page say of a disk, without the places where lines are wrapped."""
    source = good_source(id=disk.id, collectable=disk.collectable, why_not=disk.why_not, note=disk.note)
    status = simple_status(sources=(replace(source, designated=disk.collectable),))
    lines = "".join("".join(status_lines(status, language)).split())
    page = unescape(Renderer(zone=None).page(Posted(1, status), language))
    return lines, "".join(page.split())


@pytest.mark.parametrize(
    ("about", "left", "english", "japanese"),
    [
        (EXT4, {"sdb1": Left.JOURNAL}, "holds changes that were not carried out", "ジャーナルに未反映の変更"),
        (EXT4, {"sdb1": Left.MARKED}, "files on it may be damaged", "ファイルが破損している可能性"),
        ({"ID_FS_USAGE": "crypto", "ID_FS_TYPE": "crypto_LUKS"}, {}, "encrypted with LUKS", "LUKS で暗号化され"),
        ({"ID_FS_USAGE": "crypto", "ID_FS_TYPE": "BitLocker"}, {}, "encrypted with BitLocker", "BitLocker で暗号化"),
    ],
    ids=["journal", "marked", "LUKS", "BitLocker"],
)
def test_unclean_and_encrypted_disks_are_named_wherever_people_look(
    about: dict[str, str], left: dict[str, Left], english: str, japanese: str
) -> None:
    disk = device("sdb1", (8, 17), **{"ID_FS_UUID": UUID} | about)
    found = one(identify([disk], Surroundings(mounts=[ROOT], left=left))).found
    for language, words in (("en", english), ("ja", japanese)):
        for said in said_of(found, language):
            assert "".join(words.split()) in said
