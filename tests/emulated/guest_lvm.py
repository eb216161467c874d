"""A logical volume that is written to is read from a snapshot. Runs in the emulated machine (`test_emulated.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import appliance_disks
from appliance.hookspecs import PluginContext
from appliance.sources.interface import FoundSource, OpenOptions, Source
from appliance.sources.walk import walk
from appliance_disks.settings import DisksSettings
from tests.support.disks import run, wait_for


@pytest.fixture
def context(tmp_path: Path) -> PluginContext:
    return PluginContext({"disks": DisksSettings()}, tmp_path / "state", tmp_path / "run")


@pytest.fixture
def group(tmp_path: Path) -> Iterator[str]:
    """A volume group of 96 MiB on a disk of its own."""
    for module in ("loop", "dm-mod", "dm-snapshot"):
        run("modprobe", module)
    image = tmp_path / "disk.img"
    run("truncate", "-s", "100M", str(image))
    node = run("losetup", "--find", "--show", str(image)).stdout.decode().strip()
    run("vgcreate", "--yes", "site", node)
    yield "site"
    run("vgremove", "--yes", "--force", "site")
    run("losetup", "--detach", node)


def mounted_volume(group: str, size: str, place: Path) -> None:
    run("lvcreate", "--yes", "--name=data", f"--size={size}", group)
    run("mkfs.ext4", "-q", "-L", "DATA", f"/dev/{group}/data")
    run("udevadm", "settle")
    place.mkdir()
    run("mount", f"/dev/{group}/data", str(place))
    (place / "ledger").write_text("at the moment")


def volumes(group: str) -> list[str]:
    return run("lvs", "--noheadings", "-o", "lv_name", group).stdout.decode().split()


def found(context: PluginContext) -> FoundSource:
    wait_for(lambda: labelled(context), "the volume is recognised", seconds=60)
    (one,) = labelled(context)
    return one


def labelled(context: PluginContext) -> list[FoundSource]:
    return [one for one in appliance_disks.discover_sources(context) if one.details.get("label") == "DATA"]


def opened(context: PluginContext) -> Source:
    source = appliance_disks.open_source(context, found(context), OpenOptions())
    assert source is not None
    return source


def ledger(source: Source) -> bytes:
    entry = next(entry for path, entry in walk(source) if path == (b"ledger",))
    file, buffer = source.open((b"ledger",), entry), bytearray(100)
    count = file.readinto(memoryview(buffer))
    file.close()
    return bytes(buffer[:count])


def test_what_is_written_while_it_is_read_is_not_in_the_snapshot(
    context: PluginContext, group: str, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    mounted_volume(group, "64M", place)
    run("lvcreate", "--yes", "--snapshot", "--size=4M", "--name=kurabako-data", f"{group}/data")  # left by a power cut
    try:
        source = opened(context)
        (place / "ledger").write_text("later")
        run("sync", "--file-system", str(place))
        assert ledger(source) == b"at the moment"
        assert volumes(group) == ["data", "kurabako-data"]
        assert found(context).collectable, "the snapshot is no disk of its own"
        source.close()
        assert volumes(group) == ["data"]
    finally:
        run("umount", str(place))


def test_without_room_for_a_snapshot_it_is_read_as_it_is(context: PluginContext, group: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    mounted_volume(group, "96M", place)
    try:
        source = opened(context)
        (place / "ledger").write_text("later")
        assert ledger(source) == b"later"
        source.close()
        assert volumes(group) == ["data"]
    finally:
        run("umount", str(place))
