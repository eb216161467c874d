"""Disks as they are: loop devices under a running udev, mounted and unmounted, pulled while they are read."""

from __future__ import annotations

import hashlib
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import appliance_disks
from appliance.hookspecs import PluginContext
from appliance.sources.interface import (
    Entry,
    EntryType,
    FoundSource,
    OpenOptions,
    Source,
    SourceError,
    SourceEvent,
    SourceNotFound,
)
from appliance.sources.walk import walk
from appliance.status.model import Severity
from appliance.text import T
from appliance_disks.mounting import CannotMount, mount_read_only
from appliance_disks.settings import DisksSettings
from appliance_disks.source import DiskSource
from appliance_disks.watch import DiskWatch
from tests.support.disks import Loops, ext4, run, unmount, wait_for

real = [
    pytest.mark.needs("udevd", "losetup", "mkfs.ext4", "root"),
    pytest.mark.xdist_group("udev"),
]


@pytest.fixture
def context(tmp_path: Path) -> PluginContext:
    return PluginContext({"disks": DisksSettings()}, tmp_path / "state", tmp_path / "run")


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """A small tree with a Japanese name, a link and an executable."""
    folder = tmp_path / "content"
    (folder / "書類").mkdir(parents=True)
    (folder / "書類" / "見積書 令和8年.txt").write_text("内容\n" * 1000)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("書類")
    return folder


def found_on(context: PluginContext, node: str) -> FoundSource | None:
    listed = [found for found in appliance_disks.discover_sources(context) if found.details["device"] == node]
    assert len(listed) <= 1
    return listed[0] if listed else None


def opened(context: PluginContext, node: str) -> Source:
    found = found_on(context, node)
    assert found is not None
    source = appliance_disks.open_source(context, found, OpenOptions())
    assert source is not None
    return source


def contents(source: Source) -> dict[bytes, bytes | None]:
    """Every path of a source, files with what is in them."""
    found: dict[bytes, bytes | None] = {}
    for path, entry in walk(source):
        found[b"/".join(path)] = read(source, path, entry) if entry.type == "file" else None
    return found


def read(source: Source, path: tuple[bytes, ...], entry: Entry) -> bytes:
    file = source.open(path, entry)
    data, buffer = b"", memoryview(bytearray(4096))
    while count := file.readinto(buffer):
        data += buffer[:count]
    file.close()
    return data


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


EXPECTED = {"lost+found", "link", "run.sh", "書類", "書類/見積書 令和8年.txt"}


class TestRealDisks:
    pytestmark = real

    def test_a_disk_is_recognised(self, context: PluginContext, loops: Loops, content: Path, tmp_path: Path) -> None:
        node = loops.attach(ext4(tmp_path / "disk.img", content, "写真"))
        found = found_on(context, node)
        assert found is not None
        assert found.collectable, found.why_not
        assert found.title == "写真"
        assert found.size_bytes == 8 << 20
        assert found.details["file_system"] == "ext4"
        assert found.id == f"disk:uuid/{found.details['uuid']}"
        visible = {check.name: check.run() for check in appliance_disks.checks(context)}
        assert all(result.ok for result in visible.values()), visible

    def test_it_has_the_same_name_on_another_port(
        self, context: PluginContext, loops: Loops, content: Path, tmp_path: Path
    ) -> None:
        image = ext4(tmp_path / "disk.img", content)
        first = loops.attach(image)
        before = found_on(context, first)
        loops.detach(first)
        loops.attach(ext4(tmp_path / "other.img", content))  # takes the place where it was
        second = loops.attach(image)
        after = found_on(context, second)
        assert before is not None and after is not None
        assert before.id == after.id

    def test_a_copy_is_named_as_such(self, context: PluginContext, loops: Loops, content: Path, tmp_path: Path) -> None:
        image = ext4(tmp_path / "disk.img", content)
        first, copy = loops.attach(image), loops.attach(Path(shutil.copy(image, tmp_path / "copy.img")))
        original, second = found_on(context, first), found_on(context, copy)
        assert original is not None and second is not None
        assert original.collectable
        assert "copy" in str(second.why_not)
        with pytest.raises(SourceNotFound, match="copy"):
            appliance_disks.open_source(context, second, OpenOptions())

    @pytest.mark.needs("mkfs.vfat")
    def test_what_is_no_file_system_is_named(self, context: PluginContext, loops: Loops, tmp_path: Path) -> None:
        blank = tmp_path / "blank.img"
        locked = tmp_path / "luks.img"
        stick = tmp_path / "stick.img"
        for image in (blank, locked, stick):
            with image.open("wb") as file:
                file.truncate(4 << 20)
        with locked.open("r+b") as file:  # the head of LUKS 1: magic, version, and a UUID at 168
            file.write(b"LUKS\xba\xbe\x00\x01")
            file.seek(168)
            file.write(b"0a4bbd2c-9c5e-4c5e-8f0e-5a1d5f0a7c33")
        run("mkfs.vfat", "-n", "STICK", str(stick))
        nodes = [loops.attach(image) for image in (blank, locked, stick)]
        nothing, luks, fat = (found_on(context, node) for node in nodes)
        assert nothing is None, "an empty loop device is no disk"
        assert luks is not None and "LUKS" in str(luks.why_not)
        assert fat is not None and fat.details["file_system"] == "vfat" and fat.title == "STICK"

    @pytest.mark.parametrize("dirty", [False, True], ids=["clean", "journal to replay"])
    def test_an_unmounted_disk_is_read_without_a_write(
        self, context: PluginContext, loops: Loops, content: Path, tmp_path: Path, dirty: bool
    ) -> None:
        image = ext4(tmp_path / "disk.img", content, "disk")
        if dirty:
            image = pulled_while_written(loops, image, tmp_path)
        before = digest(image)
        node = loops.attach(image)
        source = opened(context, node)
        assert source.snapshot_path.startswith("/disk/disk-")
        assert source.trusts_inode
        assert source.root().type == "dir"
        read_back = contents(source)
        assert {name.decode() for name in read_back} >= EXPECTED
        assert read_back["書類/見積書 令和8年.txt".encode()] == ("内容\n" * 1000).encode()
        link = next(entry for entry in source.scandir(()) if entry.name == b"link")
        source.complete((b"link",), link)
        assert link.link_target.decode() == "書類"
        assert node not in Path("/proc/self/mountinfo").read_text(), "nobody else sees the mount"
        source.close()
        source.close()
        loops.detach(node)
        assert str(image) not in run("losetup", "--list").stdout.decode(), "nothing holds the disk"
        assert digest(image) == before

    def test_the_mount_allows_nothing_but_reading(self, loops: Loops, content: Path, tmp_path: Path) -> None:
        node = loops.attach(ext4(tmp_path / "disk.img", content))
        mount = mount_read_only(node, "ext4")
        try:
            place = Path(f"/proc/self/fd/{mount}")
            with pytest.raises(OSError, match="Read-only"):
                (place / "new").write_text("")
            with pytest.raises(PermissionError):
                subprocess.run([place / "run.sh"], pass_fds=[mount], check=False)
            flags = os.fstatvfs(mount).f_flag
            wanted = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME
            assert flags & wanted == wanted
        finally:
            os.close(mount)

    def test_a_mounted_disk_is_read_where_it_is_mounted(
        self, context: PluginContext, loops: Loops, content: Path, tmp_path: Path
    ) -> None:
        node = loops.attach(ext4(tmp_path / "disk.img", content))
        place = tmp_path / "外付け ディスク\\1"
        place.mkdir()
        run("mount", node, str(place))
        try:
            (place / "書類" / "new").write_text("just written")
            found = found_on(context, node)
            assert found is not None and found.details["mount_point"] == str(place)
            source = opened(context, node)
            assert contents(source)["書類/new".encode()] == b"just written"
            source.close()
        finally:
            unmount(place)

    def test_the_disk_of_the_vault_is_not_collected(
        self, context: PluginContext, loops: Loops, content: Path, tmp_path: Path
    ) -> None:
        node = loops.attach(ext4(tmp_path / "disk.img", content))
        designated = found_on(context, node)
        assert designated is not None and designated.collectable
        place = tmp_path / "vaults"
        place.mkdir()
        run("mount", node, str(place))
        try:
            of_the_box = replace(context, own_paths=(tmp_path / "state", place / "not set up yet" / "vault"))
            found = found_on(of_the_box, node)
            assert found is not None and "own data" in str(found.why_not)
            with pytest.raises(SourceNotFound, match="own data"):
                appliance_disks.open_source(of_the_box, designated, OpenOptions())
        finally:
            unmount(place)

    @pytest.mark.needs("setpriv")
    def test_no_right_to_mount_is_a_sentence(self, loops: Loops, content: Path, tmp_path: Path) -> None:
        node = loops.attach(ext4(tmp_path / "disk.img", content))
        script = "import sys; from appliance_disks.mounting import *\ntry: mount_read_only(sys.argv[1], 'ext4')\n"
        script += "except CannotMount as error: print(error)\n"
        limited = ["setpriv", "--inh-caps=-sys_admin", "--bounding-set=-sys_admin", sys.executable, "-c", script, node]
        assert "no right to mount" in run(*limited).stdout.decode()

    def test_a_file_system_that_linux_does_not_know(self, loops: Loops, content: Path, tmp_path: Path) -> None:
        node = loops.attach(ext4(tmp_path / "disk.img", content))
        with pytest.raises(CannotMount, match="cannot read the file system"):
            mount_read_only(node, "no-such-fs")
        with pytest.raises(CannotMount, match="damaged"):
            mount_read_only(node, "xfs")
        with pytest.raises(CannotMount, match="no longer connected"):
            mount_read_only("/dev/not-there", "ext4")

    def test_a_disk_that_is_not_there(
        self, context: PluginContext, loops: Loops, content: Path, tmp_path: Path
    ) -> None:
        node = loops.attach(ext4(tmp_path / "disk.img", content))
        found = found_on(context, node)
        assert found is not None
        loops.detach(node)
        with pytest.raises(SourceNotFound, match="not connected"):
            appliance_disks.open_source(context, found, OpenOptions())

    def test_a_disk_that_was_exchanged_while_it_was_read_is_lost(
        self, context: PluginContext, loops: Loops, content: Path, tmp_path: Path
    ) -> None:
        image = ext4(tmp_path / "disk.img", content)
        node = loops.attach(image)
        place = tmp_path / "place"
        place.mkdir()
        run("mount", node, str(place))
        source = opened(context, node)
        assert source.scandir(())
        run("umount", "--lazy", str(place))
        with pytest.raises(SourceError) as raised:
            source.scandir((b"not-seen-yet",))
        assert raised.value.lost
        source.close()

    def test_events(self, context: PluginContext, loops: Loops, content: Path, tmp_path: Path) -> None:
        events: queue.Queue[SourceEvent] = queue.Queue()
        image = ext4(tmp_path / "disk.img", content, "before")
        watch = appliance_disks.watch_sources(context, events.put)
        assert watch is not None
        try:
            node = loops.attach(image)
            arrived = next_event(events, node)
            assert (arrived.action, arrived.source.title) == ("add", "before")
            assert arrived.source == found_on(context, node)

            run("e2label", node, "after")
            run("udevadm", "trigger", "--action=change", node)
            changed = next_event(events, node)
            assert (changed.action, changed.source.title) == ("change", "after")
            assert changed.source.id == arrived.source.id

            place = tmp_path / "place"
            place.mkdir()
            run("mount", "-o", "ro", node, str(place))
            mounted = next_event(events, node)
            assert (mounted.action, mounted.source.details.get("mount_point")) == ("change", str(place))
            unmount(place)
            assert next_event(events, node).action == "change"

            loops.detach(node)
            gone = next_event(events, node)
            assert (gone.action, gone.source.id) == ("remove", arrived.source.id)
        finally:
            watch.close()
            wait_for(lambda: "disk-watch" not in {thread.name for thread in threading.enumerate()}, "the watch ends")
        told = events.qsize()
        loops.attach(image)
        assert events.qsize() == told, "a closed watch is silent"

    def test_events_go_on_after_a_listener_failed(
        self, context: PluginContext, loops: Loops, content: Path, tmp_path: Path
    ) -> None:
        heard: list[tuple[str, str | int | bool]] = []

        def listen(event: SourceEvent) -> None:
            heard.append((event.action, event.source.details["device"]))
            raise RuntimeError("not today")

        watch = appliance_disks.watch_sources(context, listen)
        assert isinstance(watch, DiskWatch)
        try:
            node = loops.attach(ext4(tmp_path / "disk.img", content))
            wait_for(lambda: ("add", node) in heard, "the arrival is told")
            loops.detach(node)
            wait_for(lambda: ("remove", node) in heard, "the departure is told")
        finally:
            watch.close()
            watch.close()


def next_event(events: queue.Queue[SourceEvent], node: str) -> SourceEvent:
    """The next event about the disk at `node`; others may come and go on this machine meanwhile."""
    while True:
        event = events.get(timeout=60)
        if event.source.details["device"] == node:
            return event


def pulled_while_written(loops: Loops, image: Path, tmp_path: Path) -> Path:
    """A copy of the disk as it is when it is pulled out of a running computer: with a journal to replay."""
    node = loops.attach(image)
    place, pulled = tmp_path / "running", tmp_path / "pulled.img"
    place.mkdir()
    run("mount", node, str(place))
    try:
        (place / "written").write_text("last words")
        run("sync", "--file-system", str(place))
        shutil.copy(image, pulled)
    finally:
        unmount(place)
        loops.detach(node)
    assert b"needs_recovery" in run("dumpe2fs", "-h", str(pulled)).stdout
    return pulled


def test_without_udev_it_says_so(context: PluginContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appliance_disks, "udev_runs", lambda: False)
    result = appliance_disks.check_udev()
    assert not result.ok
    assert result.severity is Severity.WARNING
    assert "udev is not running" in str(result.what)
    for found in appliance_disks.discover_sources(context):
        assert not found.collectable or "uuid" in found.details


def test_no_disk_at_all_is_a_warning() -> None:
    result = appliance_disks.check_visible({})
    assert not result.ok
    assert result.severity is Severity.WARNING


def test_another_kind_of_source_is_left_to_others(context: PluginContext) -> None:
    assert appliance_disks.open_source(context, FoundSource("smb://a/b", "smb", "b"), OpenOptions()) is None


class Failing:
    """A source whose every read fails, as a dying disk's."""

    id, snapshot_path, trusts_inode = "disk:uuid/x", "/disk/x", True

    def root(self) -> Entry:
        raise SourceError(T("bad"))

    def scandir(self, path: tuple[bytes, ...]) -> list[Entry]:
        raise SourceError(T("bad"))

    def complete(self, path: tuple[bytes, ...], entry: Entry) -> None:
        raise SourceError(T("bad"))

    def open(self, path: tuple[bytes, ...], entry: Entry) -> Failing:
        return self

    def readinto(self, buffer: memoryview) -> int:
        raise OSError(5, "Input/output error")

    def changed(self) -> bool:
        raise OSError(5, "Input/output error")

    def close(self) -> None:
        pass


@pytest.fixture(params=[True, False], ids=["still there", "pulled"])
def there(request: pytest.FixtureRequest) -> Iterator[bool]:
    yield request.param


def test_a_bad_file_is_told_from_a_pulled_disk(there: bool) -> None:
    source = DiskSource(Failing(), "写真", lambda: there, lambda: None)
    entry = Entry(b"a", EntryType.FILE)
    file = source.open((b"a",), entry)
    actions = [
        source.root,
        lambda: source.scandir(()),
        lambda: source.complete((b"a",), entry),
        lambda: file.readinto(memoryview(bytearray(1))),
        file.changed,
    ]
    for action in actions:
        with pytest.raises(SourceError) as raised:
            action()
        assert raised.value.lost is not there
        assert raised.value.__cause__ is not raised.value, "a circle keeps alive what its traceback holds"
    assert ("read error" if there else "disconnected") in str(raised.value)


def _raised_by(cause: OSError, *, lost: bool = False) -> SourceError:
    error = SourceError(T("bad"), lost=lost)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "pulled", "said"),
    [
        (OSError(5, "Input/output error"), False, "reports a read error"),
        (_raised_by(OSError(5, "Input/output error")), False, "reports a read error"),
        (_raised_by(OSError(116, "Stale file handle")), False, "bad"),
        (_raised_by(OSError(5, "Input/output error")), True, "disconnected"),
        (_raised_by(OSError(5, "Input/output error"), lost=True), False, "disconnected"),
    ],
)
def test_what_a_file_meets_is_told_in_the_disks_name(error: Exception, pulled: bool, said: str) -> None:
    class Inner(Failing):
        def readinto(self, buffer: memoryview) -> int:
            raise error

    source = DiskSource(Inner(), "写真", lambda: not pulled, lambda: None)
    with pytest.raises(SourceError, match=said) as raised:
        source.open((b"a",), Entry(b"a", EntryType.FILE)).readinto(memoryview(bytearray(1)))
    assert raised.value.lost is (said == "disconnected")
    assert ("写真" in str(raised.value)) is (said != "bad")
    assert raised.value.__cause__ is not raised.value
