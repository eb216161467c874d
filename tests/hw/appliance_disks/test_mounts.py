"""The kernel's list of mounts, with everything that may stand in a path."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from appliance_disks.mounts import Mount, current_mounts, device_of_node, mount_below, parse_mountinfo, parse_swaps

MOUNTINFO = b"""\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 8:17 / /mnt/\xe5\x86\x99\xe7\x9c\x9f\\040\\011disk\\134x rw,nosuid shared:7 master:2 - vfat /dev/sdb1 ro
41 27 0:38 /@home /home rw - btrfs /dev/sdc2 rw,subvol=/@home
42 27 0:21 / /proc rw - proc proc rw
torn line
"""


def test_a_list_of_mounts() -> None:
    root, photos, home, proc = parse_mountinfo(MOUNTINFO)
    assert (root.device, root.point, root.fs_type, root.source) == ((254, 0), "/", "ext4", "/dev/vda")
    assert photos.point == "/mnt/写真 \tdisk\\x"
    assert (photos.device, photos.source) == ((8, 17), "/dev/sdb1"), "optional fields are skipped"
    assert (home.root, home.device) == ("/@home", (0, 38))
    assert proc.source == "proc"


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name and b"/" not in name))
def test_every_name_survives(name: bytes) -> None:
    escaped = b"".join(b"\\%03o" % letter if letter in b" \t\n\\" else bytes([letter]) for letter in name)
    # the kernel escapes these four only: other control characters stand in a line as they are
    line = b"40 27 8:17 / /mnt/" + escaped + b" rw - ext4 /dev/sdb1 rw\n"
    (mount,) = parse_mountinfo(line)
    assert mount.point.encode("utf-8", "surrogateescape") == b"/mnt/" + name


def test_this_machine() -> None:
    places = {mount.point: mount for mount in current_mounts()}
    assert places["/"].fs_type
    assert places["/proc"].fs_type == "proc"


def test_swaps() -> None:
    text = b"Filename\tType\tSize\tUsed\n/dev/sda3   partition\t8388604\t0\n/swap\\040file file\t1\t0\n"
    assert parse_swaps(text) == ["/dev/sda3", "/swap file"]


def test_devices_of_paths(tmp_path: Path) -> None:
    assert device_of_node("/dev/null") is None, "not a block device"
    assert device_of_node(str(tmp_path / "absent")) is None


def test_the_mount_below_a_path(tmp_path: Path) -> None:
    places = ["/", f"{tmp_path}/vault", f"{tmp_path}/vault2", f"{tmp_path}/vault"]
    mounts = [Mount((8, number), "/", point, "ext4", "none") for number, point in enumerate(places)]

    def number(path: Path) -> int:
        found = mount_below(path, mounts)
        assert found is not None
        return found.device[1]

    (tmp_path / "vault").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "vault")
    assert number(tmp_path) == 0
    assert number(tmp_path / "vault") == 3, "the last mount at a place hides those before"
    assert number(tmp_path / "vault" / "not" / "there" / "yet") == 3
    assert number(tmp_path / "vault2" / "x") == 2
    assert number(tmp_path / "vault22") == 0
    assert number(tmp_path / "link" / "x") == 3
    assert mount_below(tmp_path, []) is None
