"""USB disks under a kernel that knows them: plugged in, found, read, and pulled out. Runs in the emulated machine.

`test_emulated.py` starts it; here, pytest does not collect it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import appliance_disks
from appliance.hookspecs import PluginContext
from appliance.sources.interface import FoundSource, OpenOptions, SourceError, SourceEvent
from appliance.sources.walk import walk
from appliance_disks.settings import DisksSettings
from tests.emulated.machine import GUEST_SHARED
from tests.emulated.ports import Ports
from tests.support.disks import run, wait_for

MKFS = {
    "vfat": ("mkfs.vfat", "-n", "TENKEN"),
    "exfat": ("mkfs.exfat", "-L", "写真"),
    "ext4": ("mkfs.ext4", "-q", "-L", "写真"),
}

CONTENT = {
    "見積書 令和8年.txt": "百万円".encode(),
    "深い/ところ/写真 001.jpg": os.urandom(100_000),
    "empty.txt": b"",
}


@pytest.fixture
def ports() -> Iterator[Ports]:
    ports = Ports()
    yield ports
    ports.close()


class Site:
    """What the box sees of the machine: its disks now, and the events that it has been told."""

    def __init__(self, context: PluginContext) -> None:
        self.context = context
        self.events: list[tuple[str, str, float]] = []
        self._watch = appliance_disks.watch_sources(context, self._on_event)

    def close(self) -> None:
        assert self._watch is not None
        self._watch.close()

    def find(self, serial: str) -> FoundSource | None:
        """What is on the USB disk of this serial, once udev has recognised it."""
        for one in appliance_disks.discover_sources(self.context):
            if one.details.get("serial") == serial and one.details.get("file_system"):
                return one
        return None

    def wait_for(self, action: str, serial: str) -> float:
        """When the box was told of this, by `time.monotonic`."""

        def told() -> float | None:
            return next((at for what, whose, at in self.events if (what, whose) == (action, serial)), None)

        wait_for(told, f"{action} of {serial}", seconds=60)
        return told() or 0.0

    def _on_event(self, event: SourceEvent) -> None:
        serial = str(event.source.details.get("serial", ""))
        self.events.append((event.action, serial, time.monotonic()))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(PluginContext({"disks": DisksSettings()}, tmp_path / "state", tmp_path / "run"))
    yield site
    site.close()


def filled(site: Site, ports: Ports, name: str, kind: str) -> Path:
    """An image with `CONTENT` in a file system of this kind: a person plugged it in, wrote to it and unmounted it."""
    image = GUEST_SHARED / f"{name}.img"
    with image.open("wb") as file:
        file.truncate(128 << 20)
    run(*MKFS[kind], str(image))
    ports.plug("writing", image, f"SN-{name}")
    site.wait_for("add", f"SN-{name}")
    found = site.find(f"SN-{name}")
    assert found is not None
    place = site.context.run_dir / "person"
    place.mkdir(parents=True, exist_ok=True)
    run("mount", str(found.details["device"]), str(place))
    for path, data in CONTENT.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(data)
    run("umount", str(place))
    ports.pull("writing")
    site.wait_for("remove", f"SN-{name}")
    site.events.clear()
    return image


DISCS = {"iso9660": ("-R", "-J", "-joliet-long"), "udf": ("-R", "-udf")}


@pytest.mark.parametrize("kind", DISCS)
def test_a_medium_that_nobody_can_write_to(site: Site, ports: Ports, tmp_path: Path, kind: str) -> None:
    image = GUEST_SHARED / f"{kind}.img"
    folder = tmp_path / "content"
    for path, data in CONTENT.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    disc = ("genisoimage", "-quiet", "-input-charset", "utf-8", "-V", "SHASHIN", *DISCS[kind])
    run(*disc, "-o", str(image), str(folder))
    ports.plug(kind, image, f"SN-{kind}")
    site.wait_for("add", f"SN-{kind}")
    found = site.find(f"SN-{kind}")
    assert found is not None and found.collectable
    assert (found.details["file_system"], found.details["label"]) == (kind, "SHASHIN")
    assert contents(site, found) == CONTENT
    ports.pull(kind)


def test_times_of_fat_are_of_the_boxs_zone(site: Site, ports: Ports, tmp_path: Path) -> None:
    image, letter = GUEST_SHARED / "times.img", tmp_path / "letter.txt"
    letter.write_text("written in Tokyo")
    with image.open("wb") as file:
        file.truncate(64 << 20)
    run("mkfs.vfat", "-n", "TENKEN", str(image))
    run("env", "TZ=JST-9", "mcopy", "-m", "-i", str(image), str(letter), "::")
    ports.plug("times", image, "SN-times")
    site.wait_for("add", "SN-times")
    found = site.find("SN-times")
    assert found is not None
    for zone, hours in (("Asia/Tokyo", 0), ("UTC", 9)):
        source = appliance_disks.open_source(replace(site.context, timezone=zone), found, OpenOptions())
        assert source is not None
        (entry,) = source.scandir(())
        source.close()
        assert abs(entry.mtime_ns / 1e9 - hours * 3600 - letter.stat().st_mtime) <= 2
    ports.pull("times")


def contents(site: Site, found: FoundSource) -> dict[str, bytes]:
    """All files of a source, by path."""
    source = appliance_disks.open_source(site.context, found, OpenOptions())
    assert source is not None
    read: dict[str, bytes] = {}
    for path, entry in walk(source):
        if entry.type == "file":
            file, data, buffer = source.open(path, entry), b"", memoryview(bytearray(1 << 16))
            while count := file.readinto(buffer):
                data += buffer[:count]
            file.close()
            read[b"/".join(path).decode()] = data
    source.close()
    return read


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("kind", MKFS)
def test_a_usb_disk_comes_is_read_and_goes(site: Site, ports: Ports, kind: str) -> None:
    image = filled(site, ports, kind, kind)
    before = digest(image)
    plugged = time.monotonic()
    ports.plug(kind, image, f"SN-{kind}")
    told = site.wait_for("add", f"SN-{kind}")
    print(f"{kind}: told {told - plugged:.2f} s after the plug went in")  # an emulated processor's seconds

    found = site.find(f"SN-{kind}")
    assert found is not None
    assert found.collectable, found.why_not
    assert found.removable
    assert found.details["bus"] == "usb"
    assert found.details["file_system"] == kind
    assert contents(site, found) == CONTENT

    ports.pull(kind)
    site.wait_for("remove", f"SN-{kind}")
    assert site.find(f"SN-{kind}") is None
    assert digest(image) == before


def test_pulled_while_it_is_read_and_on_another_port_it_is_the_same(site: Site, ports: Ports) -> None:
    image = filled(site, ports, "MOVES", "exfat")
    ports.plug("first", image, "SN-MOVES")
    site.wait_for("add", "SN-MOVES")
    found = site.find("SN-MOVES")
    assert found is not None
    source = appliance_disks.open_source(site.context, found, OpenOptions())
    assert source is not None
    ports.pull("first")
    with pytest.raises(SourceError):
        for path, entry in walk(source):
            if entry.type == "file":
                source.open(path, entry).readinto(memoryview(bytearray(1 << 20)))
    source.close()

    ports.plug("decoy", filled(site, ports, "DECOY", "exfat"), "SN-DECOY")
    site.wait_for("add", "SN-DECOY")
    ports.plug("second", image, "SN-MOVES")
    wait_for(lambda: site.find("SN-MOVES"), "the disk is back", seconds=60)
    again, decoy = site.find("SN-MOVES"), site.find("SN-DECOY")
    assert again is not None and decoy is not None
    assert again.id == found.id
    assert decoy.id != found.id
    assert contents(site, again) == CONTENT
    ports.pull("decoy")
    ports.pull("second")


def test_a_locked_disk_is_named_as_such(site: Site, ports: Ports, tmp_path: Path) -> None:
    formatted, key = tmp_path / "locked.img", tmp_path / "key"
    key.write_bytes(os.urandom(32))
    with formatted.open("wb") as file:
        file.truncate(32 << 20)
    cheap = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
    run("cryptsetup", "luksFormat", "-q", *cheap, "--key-file", str(key), str(formatted))
    image = Path(shutil.copy(formatted, GUEST_SHARED))
    ports.plug("locked", image, "SN-LOCKED")
    wait_for(lambda: site.find("SN-LOCKED"), "the disk is recognised", seconds=60)
    found = site.find("SN-LOCKED")
    assert found is not None
    assert not found.collectable
    assert "LUKS" in str(found.why_not)

    # A person unlocks it: then it is a disk like any other, found by what is in it.
    run("cryptsetup", "open", "--key-file", str(key), str(found.details["device"]), "unlocked")
    run("mkfs.ext4", "-q", "-L", "OPEN", "/dev/mapper/unlocked")
    run("udevadm", "settle")
    inside = [one for one in appliance_disks.discover_sources(site.context) if one.details.get("label") == "OPEN"]
    assert [one.collectable for one in inside] == [True], inside
    assert contents(site, inside[0]) == {}
    run("cryptsetup", "close", "unlocked")
    ports.pull("locked")
