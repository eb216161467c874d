"""Disks that were pulled while they were written are named as such, and read all the same without a write."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

import appliance_disks
from appliance.hookspecs import PluginContext
from appliance_disks.settings import DisksSettings
from appliance_disks.unclean import Left, left
from tests.hw.appliance_disks.test_disks import digest, found_on, opened
from tests.hw.appliance_disks.test_file_systems import empty
from tests.support.daemon import BoxUnderTest
from tests.support.disks import Loops, run, unmount, wait_for

FORMATS: dict[str, tuple[str, ...]] = {
    "ext4": ("64M", "mkfs.ext4", "-q"),
    "ext2": ("8M", "mkfs.ext2", "-q"),
    "xfs": ("300M", "mkfs.xfs", "-q"),
    "btrfs": ("120M", "mkfs.btrfs", "-q"),
    "ntfs": ("8M", "mkfs.ntfs", "-F", "-q"),
    "exfat": ("8M", "mkfs.exfat"),
    "vfat": ("64M", "mkfs.vfat", "-F", "32"),
    "f2fs": ("64M", "mkfs.f2fs", "-q"),
}
NEEDS = {"ext2": "mkfs.ext4", "ntfs": "ntfs-3g", "f2fs": "f2fs-tools"}


def formatted(image: Path, kind: str) -> Path:
    size, *command = FORMATS[kind]
    run(*command, empty(image, size))
    return image


def left_on(image: Path, kind: str) -> Left | None:
    with image.open("rb") as file:
        return left(lambda offset, count: os.pread(file.fileno(), count, offset), kind)


@contextmanager
def mounted(image: Path) -> Iterator[Path]:
    place = image.with_suffix(".d")
    place.mkdir(exist_ok=True)
    run("mount", "-o", "loop", str(image), str(place))
    try:
        yield place
    finally:
        unmount(place)


def written_and_pulled(image: Path) -> Path:
    """A copy of the disk as it is when it is pulled while somebody writes."""
    with mounted(image) as place:
        for name in ("first", "second"):
            (place / name).write_text(name)
            run("sync", "--file-system", str(place))
        with (place / "last").open("w") as file:
            file.write("last words")
            file.flush()
            os.fsync(file.fileno())  # into Btrfs' log, which waits for the next commit
            return Path(shutil.copy(image, image.with_suffix(".pulled")))


def mark(image: Path, kind: str) -> Path:
    """Sets the mark that a computer sets when it begins to write: $Volume has NTFS', and stands in $MFTMirr too."""
    data = bytearray(image.read_bytes())
    if kind == "ntfs":
        information = struct.pack("<II", 0x70, 0x28)
        names = [found.start() for found in re.finditer(re.escape("$Volume".encode("utf-16-le")), data)]
        places = {data.index(information, name) + 0x18 + 10 for name in names}
        assert len(places) == 2
    else:
        places = {{"exfat": 106, "vfat": 0x41}[kind]}
    for place in places:
        data[place] |= 2 if kind == "exfat" else 1
    image.write_bytes(data)
    return image


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.needs(NEEDS.get(kind, f"mkfs.{kind}"))) for kind in FORMATS]
)
def test_a_new_file_system_is_as_it_should_be(tmp_path: Path, kind: str) -> None:
    assert left_on(formatted(tmp_path / "disk.img", kind), kind) is None


@pytest.mark.needs("root", "losetup", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs")
@pytest.mark.parametrize(
    ("kind", "how"),
    [("ext4", Left.JOURNAL), ("ext2", Left.MARKED), ("xfs", Left.JOURNAL), ("btrfs", Left.JOURNAL)],
)
def test_one_that_was_pulled_is_not_until_its_computer_has_it_again(tmp_path: Path, kind: str, how: Left) -> None:
    image = formatted(tmp_path / "disk.img", kind)
    pulled = written_and_pulled(image)
    assert left_on(pulled, kind) is how
    wait_for(lambda: left_on(image, kind) is None, "it is unmounted, also where others saw it", seconds=60)
    if kind != "ext2":  # which fsck alone mends
        with mounted(pulled):
            pass
        wait_for(lambda: left_on(pulled, kind) is None, "the same of the other", seconds=60)


LOG_BLOCKS = 64


@given(some.lists(some.integers(1, 20), min_size=1, max_size=40), some.booleans())
def test_a_log_of_xfs_that_has_begun_again_at_its_start(records: list[int], unmounted: bool) -> None:
    """Records of so many blocks, the last an unmount record or not, in a log that is soon full."""
    log = [bytes(512)] * LOG_BLOCKS
    at = 0
    for number, length in enumerate(records):
        unmount = unmounted and number == len(records) - 1
        head = struct.pack(">4I24xI", 0xFEEDBABE, at // LOG_BLOCKS + 1, 2, length * 512, 1 if unmount else 7)
        log[at % LOG_BLOCKS] = (head.ljust(320, b"\0") + struct.pack(">I", 32 << 10)).ljust(512, b"\0")
        for block in range(at + 1, at + 1 + length):
            flags = 0x20 if unmount and block == at + 1 else 0x01
            log[block % LOG_BLOCKS] = struct.pack(">IIBB", block // LOG_BLOCKS + 1, 8, 0xAA, flags).ljust(512, b"\0")
        at += 1 + length
    superblock = bytearray(4096)
    for form, offset, value in (
        (">I", 4, 4096), (">Q", 48, 1 << 8 | 2), (">I", 84, 100), (">I", 96, LOG_BLOCKS // 8), (">B", 124, 8),
    ):  # fmt: skip
        struct.pack_into(form, superblock, offset, value)
    image = bytes(superblock).ljust(102 * 4096, b"\0") + b"".join(log)
    assert left(lambda offset, count: image[offset : offset + count], "xfs") is (None if unmounted else Left.JOURNAL)


@pytest.mark.needs("ntfs-3g", "mkfs.exfat", "mkfs.vfat")
@pytest.mark.parametrize("kind", ["ntfs", "exfat", "vfat"])
def test_one_that_is_marked_as_being_written_to(tmp_path: Path, kind: str) -> None:
    image = formatted(tmp_path / "disk.img", kind)
    mark(image, kind)
    assert left_on(image, kind) is Left.MARKED


@contextmanager
def through_ntfs_3g(image: Path) -> Iterator[Path]:
    place = image.with_suffix(".d")
    place.mkdir(exist_ok=True)
    run("ntfs-3g", "-o", "big_writes", str(image), str(place))
    try:
        yield place
    finally:
        unmount(place)


def asleep(image: Path) -> Path:
    with through_ntfs_3g(image) as place:
        (place / "hiberfil.sys").write_bytes(b"HIBR" + bytes(4092))
    return image


@pytest.mark.needs("ntfs-3g", "root")
@pytest.mark.parametrize("others", [0, 3000], ids=["a small directory", "one of many blocks"])
def test_windows_that_sleeps(tmp_path: Path, others: int) -> None:
    """What Windows wrote of its memory begins with a mark, which ntfs-3g goes by as well."""
    image = formatted(tmp_path / "disk.img", "ntfs")
    with through_ntfs_3g(image) as place:
        for number in range(others):
            (place / f"a file of some length in its name {number:05}").touch()
        (place / "HiberFil.sys").write_bytes(b"WAKE" + bytes(100_000))
    assert left_on(image, "ntfs") is None
    for start, how in ((b"hibr", Left.HIBERNATED), (b"HIBR", Left.HIBERNATED), (bytes(4), None)):
        with through_ntfs_3g(image) as place:
            (place / "HiberFil.sys").unlink()
            (place / "hiberfil.sys").write_bytes(start + bytes(100_000))
        assert left_on(image, "ntfs") is how
        if how is None:
            continue
        with through_ntfs_3g(image) as place, pytest.raises(OSError, match="Read-only file system"):
            (place / "new").touch()
        run("ntfs-3g", "-o", "remove_hiberfile", str(image), str(place))
        unmount(place)
        assert left_on(image, "ntfs") is None, "somebody gave up what it kept"
        with through_ntfs_3g(image) as place:
            (place / "HiberFil.sys").touch()


@pytest.mark.needs("f2fs-tools")
@pytest.mark.parametrize(
    ("flags", "state", "how"),
    [(0x1, "unmount", None), (0x0, "", Left.JOURNAL), (0x11, "fsck", Left.MARKED), (0x9, "error", Left.MARKED)],
)
def test_checkpoints_of_f2fs(tmp_path: Path, flags: int, state: str, how: Left | None) -> None:
    """The newest of both counts; what the stock checker says of it is what is found."""
    image = formatted(tmp_path / "disk.img", "f2fs")
    data = bytearray(image.read_bytes())
    block, segment = 4096, 2 << 20
    first = block * struct.unpack_from("<I", data, 1024 + 76)[0]
    blocks = struct.unpack_from("<I", data, first + 136)[0]
    second = first + segment
    data[second : second + blocks * block] = data[first : first + blocks * block]
    (version,) = struct.unpack_from("<Q", data, first)
    for at in (second, second + (blocks - 1) * block):
        before = struct.unpack_from("<I", data, at + 132)[0]
        struct.pack_into("<Q", data, at, version + 1)
        struct.pack_into("<I", data, at + 132, before & ~1 | flags)
        (end,) = struct.unpack_from("<I", data, at + 164)
        struct.pack_into("<I", data, at + end, ~zlib.crc32(data[at : at + end], ~0xF2F52010 & 0xFFFFFFFF) & 0xFFFFFFFF)
    image.write_bytes(data)
    assert left_on(image, "f2fs") is how
    checked = subprocess.run(["fsck.f2fs", "--dry-run", str(image)], capture_output=True, text=True, check=False)
    (said,) = (line for line in checked.stdout.splitlines() if "checkpoint state" in line)
    assert state in said and ("unmount" in said) is bool(flags & 1)
    struct.pack_into("<Q", data, second + (blocks - 1) * block, version)  # it was being written when it was pulled
    image.write_bytes(data)
    assert left_on(image, "f2fs") is None


@pytest.mark.parametrize(("attributes", "how"), [(0x0100, None), (0x0000, Left.MARKED), (0x2000, Left.JOURNAL)])
def test_a_volume_of_a_mac(attributes: int, how: Left | None) -> None:
    """Bits as TN1150 has them: unmounted 8, journaled 13."""
    image = bytes(1024) + b"H+" + struct.pack(">HI", 4, attributes)
    assert left(lambda offset, count: image[offset : offset + count], "hfsplus") is how


@pytest.mark.parametrize("kind", [*FORMATS, "hfsplus", "zfs_member"])
@given(some.randoms(use_true_random=False))
def test_what_is_no_such_file_system_does_no_harm(kind: str, chance: object) -> None:
    def read(offset: int, count: int) -> bytes:
        assert 0 <= count <= 1 << 40
        data: bytes = chance.randbytes(min(count, chance.choice((0, 3, 8192))))  # type: ignore[attr-defined]
        return b"FILE" + data[4:] if len(data) > 100 else data

    assert left(read, kind) in (None, *Left)


real = [
    pytest.mark.needs("root", "udevd", "losetup", "mkfs.ext4", "mkfs.exfat", "exfat-fuse", "ntfs-3g"),
    pytest.mark.xdist_group("udev"),
]


class TestNamed:
    pytestmark = real

    @pytest.fixture
    def context(self, tmp_path: Path) -> PluginContext:
        return PluginContext({"disks": DisksSettings()}, tmp_path / "state", tmp_path / "run")

    @pytest.mark.parametrize(
        ("kind", "spoil", "said"),
        [
            ("ext4", lambda image: written_and_pulled(image), "the journal of its file system (ext4) holds changes"),
            ("exfat", lambda image: mark(image, "exfat"), "its file system (exfat) is marked so"),
            ("ntfs", lambda image: mark(image, "ntfs"), "its file system (ntfs) is marked so"),
            ("ntfs", lambda image: asleep(image), "Windows sleeps on it"),
        ],
        ids=["ext4", "exfat", "ntfs", "ntfs asleep"],
    )
    def test_it_is_told_and_read_without_a_write(
        self,
        context: PluginContext,
        loops: Loops,
        tmp_path: Path,
        kind: str,
        spoil: Callable[[Path], Path],
        said: str,
    ) -> None:
        image = spoil(formatted(tmp_path / "disk.img", kind))
        before = digest(image)
        node = loops.attach(image)
        found = found_on(context, node)
        assert found is not None and found.collectable
        assert said in str(found.note)
        opened(context, node).close()
        loops.detach(node)
        assert digest(image) == before

    def test_the_command_line_tells_it_in_both_languages(self, loops: Loops, tmp_path: Path) -> None:
        loops.attach(written_and_pulled(formatted(tmp_path / "disk.img", "ext4")))
        box = BoxUnderTest.make(tmp_path / "box")
        assert "was not ejected properly: the journal" in box.run("sources").out
        assert "正しく取り外されていません" in box.run("sources", language="ja_JP.UTF-8").out

    def test_one_that_is_mounted_is_no_such_case_and_then_it_is_looked_at_again(
        self, context: PluginContext, loops: Loops, tmp_path: Path
    ) -> None:
        pulled = written_and_pulled(formatted(tmp_path / "disk.img", "ext4"))
        node, place = loops.attach(pulled), tmp_path / "place"
        place.mkdir()
        assert noted(context, node)
        assert noted(context, node), "what was read once is remembered"
        run("mount", node, str(place))
        assert not noted(context, node)
        unmount(place)
        wait_for(lambda: not noted(context, node), "its journal has been replayed", seconds=60)


def noted(context: PluginContext, node: str) -> bool:
    found = next(one for one in appliance_disks.discover_sources(context) if one.details["device"] == node)
    return found.note is not None
