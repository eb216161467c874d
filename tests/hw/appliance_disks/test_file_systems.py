"""Every file system that people bring: names, times, content as they were written, and no byte of the disk changed.

What this machine's kernel cannot read, the programs of FUSE do, as on a box whose kernel lacks a driver.
"""

from __future__ import annotations

import datetime
import gc
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.hookspecs import PluginContext
from appliance.sources.interface import EntryType, OpenOptions, SourceNotFound
from appliance.sources.walk import walk
from appliance_disks import open_source
from appliance_disks.settings import DisksSettings
from tests.hw.appliance_disks.test_disks import contents, digest, found_on, opened, read
from tests.support.disks import Loops, run, unmount

pytestmark = [
    pytest.mark.needs("udevd", "losetup", "root"),
    pytest.mark.xdist_group("udev"),
]

LEAP_DAY = datetime.datetime(2024, 2, 29, 12, 34, 56, tzinfo=datetime.UTC)
NAMES = ("書類/見積書 令和8年（最終）.txt", "Mixed Case Name.TXT", "UPPER.TXT", "lower.txt", "絵文字 🗾.txt")

BEYOND_THE_TOOLS = {"vfat": {"UPPER.TXT", "絵文字 🗾.txt"}, "udf": {"絵文字 🗾.txt"}}
"""GRUB, which reads FAT where the kernel does not, shows short names in lower case; mtools and genisoimage (in UDF)
write no emoji."""


@pytest.fixture
def context(tmp_path: Path) -> PluginContext:
    return PluginContext({"disks": DisksSettings()}, tmp_path / "state", tmp_path / "run")


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    (folder / "書類").mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_bytes(name.encode() * 3000)
        os.utime(folder / name, (LEAP_DAY.timestamp(), LEAP_DAY.timestamp()))
    return folder


def empty(image: Path, size: str) -> str:
    run("truncate", "-s", size, str(image))
    return str(image)


def copied_in(image: Path, content: Path, *mount: str) -> None:
    """Fills the file system as another computer would: mounted, written, unmounted."""
    place = image.parent / "filling"
    place.mkdir()
    node = run("losetup", "--find", "--show", str(image)).stdout.decode().strip()
    try:
        run(*mount, node, str(place))
        try:
            run("cp", "-R", "--preserve=timestamps", f"{content}/.", str(place))
        finally:
            unmount(place)
    finally:
        run("losetup", "--detach", node)


def xfs(image: Path, content: Path) -> None:
    run("mkfs.xfs", "-q", "-L", "SHASHIN", empty(image, "300M"))
    copied_in(image, content, "mount")


def btrfs(image: Path, content: Path) -> None:
    run("mkfs.btrfs", "-q", "-L", "SHASHIN", "--rootdir", str(content), "--shrink", empty(image, "120M"))


def ext4(image: Path, content: Path) -> None:
    run("mkfs.ext4", "-q", "-L", "SHASHIN", "-d", str(content), empty(image, "8M"))


def ntfs(image: Path, content: Path) -> None:
    run("mkfs.ntfs", "-F", "-q", "-L", "SHASHIN", empty(image, "8M"))
    copied_in(image, content, "ntfs-3g")


def exfat(image: Path, content: Path) -> None:
    run("mkfs.exfat", "-L", "SHASHIN", empty(image, "8M"))
    copied_in(image, content, "env", "TZ=UTC", "mount.exfat-fuse")


def fat(image: Path, content: Path) -> None:
    run("mkfs.vfat", "-n", "SHASHIN", empty(image, "8M"))
    environment = {**os.environ, "LANG": "C.UTF-8", "TZ": "UTC"}
    names = sorted(str(path) for path in content.iterdir())
    subprocess.run(["mcopy", "-s", "-m", "-i", str(image), *names, "::"], check=True, env=environment)


def iso9660(image: Path, content: Path) -> None:
    disc = ("genisoimage", "-quiet", "-input-charset", "utf-8", "-V", "SHASHIN")
    run(*disc, "-R", "-J", "-joliet-long", "-o", str(image), str(content))


def udf(image: Path, content: Path) -> None:
    disc = ("genisoimage", "-quiet", "-input-charset", "utf-8", "-V", "SHASHIN")
    run(*disc, "-R", "-udf", "-o", str(image), str(content))


def f2fs(image: Path, content: Path) -> None:
    run("mkfs.f2fs", "-q", "-l", "SHASHIN", empty(image, "64M"))
    run("sload.f2fs", "-f", str(content), str(image))


def hfsplus(image: Path, content: Path) -> None:
    """Out of a disc that also holds one: from the first header of a volume to the copy of it, each 1024 from an end."""
    disc = image.with_suffix(".iso")
    run("xorriso", "-as", "mkisofs", "-quiet", "-R", "-hfsplus", "-V", "SHASHIN", "-o", str(disc), str(content))
    data = disc.read_bytes()
    header = b"H+" + (4).to_bytes(2, "big")
    volume = bytearray(data[data.index(header) - 1024 : data.rindex(header) + 1024])
    for at in (1024, len(volume) - 1024):
        volume[at + 104 : at + 112] = os.urandom(8)  # the volume's ID
    image.write_bytes(volume)


MADE: dict[str, tuple[Callable[[Path, Path], None], tuple[str, ...]]] = {
    "ext4": (ext4, ("mkfs.ext4",)),
    "xfs": (xfs, ("mkfs.xfs",)),
    "btrfs": (btrfs, ("mkfs.btrfs",)),
    "ntfs": (ntfs, ("ntfs-3g",)),
    "exfat": (exfat, ("mkfs.exfat", "exfat-fuse")),
    "vfat": (fat, ("mkfs.vfat", "mtools", "grub-mount")),
    "iso9660": (iso9660, ("genisoimage", "grub-mount")),
    "udf": (udf, ("genisoimage", "grub-mount")),
    "hfsplus": (hfsplus, ("xorriso", "grub-mount")),
    "f2fs": (f2fs, ("f2fs-tools", "grub-mount")),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.needs(*needs)) for kind, (_, needs) in MADE.items()]
)
def test_what_was_written_is_read_and_nothing_changes(
    context: PluginContext, loops: Loops, content: Path, tmp_path: Path, kind: str
) -> None:
    image = tmp_path / "disk.img"
    names = [name for name in NAMES if name not in BEYOND_THE_TOOLS.get(kind, ())]
    for name in set(NAMES) - set(names):
        (content / name).unlink()
    MADE[kind][0](image, content)
    before = digest(image)
    node = loops.attach(image)
    found = found_on(context, node)
    assert found is not None and found.collectable, found
    assert (found.details["file_system"], found.details.get("label")) == (kind, "SHASHIN")
    source = opened(context, node)
    try:
        entries = {b"/".join(path).decode(): entry for path, entry in walk(source)}
        ours = {name: entry for name, entry in entries.items() if name != "lost+found"}
        assert set(ours) == {"書類", *names}, "names in their own case, nothing more and nothing less"
        for name in names:
            entry = ours[name]
            assert entry.type is EntryType.FILE
            assert read(source, tuple(name.encode().split(b"/")), entry) == name.encode() * 3000
            assert abs(entry.mtime_ns / 1e9 - LEAP_DAY.timestamp()) <= 2, "FAT counts in steps of two seconds"
        mounts = Path("/proc/self/mountinfo").read_text()
        assert node not in mounts, "nobody else sees the mount"
    finally:
        source.close()
    loops.detach(node)
    assert digest(image) == before


def forget_zones(image: Path) -> None:
    """Takes the zones out of an exFAT's times, as computers write it that know none (exFAT specification, 7.4.10)."""
    data = bytearray(image.read_bytes())
    for at in range(0, len(data) - 64, 32):
        if (data[at], data[at + 32], data[at + 64]) != (0x85, 0xC0, 0xC1):
            continue
        data[at + 22 : at + 25] = bytes(3)
        checksum = 0
        for index, byte in enumerate(data[at : at + 32 * (1 + data[at + 1])]):
            if index not in (2, 3):
                checksum = ((checksum << 15 | checksum >> 1) + byte) & 0xFFFF
        data[at + 2 : at + 4] = checksum.to_bytes(2, "little")
    image.write_bytes(data)


@pytest.mark.needs("mkfs.exfat", "exfat-fuse")
@pytest.mark.parametrize(("zone", "hours"), [("Asia/Tokyo", 9), ("America/Caracas", -4), ("UTC", 0)])
def test_times_of_a_clock_on_the_wall_are_of_the_boxs_zone(
    context: PluginContext, loops: Loops, content: Path, tmp_path: Path, zone: str, hours: int
) -> None:
    image = tmp_path / "disk.img"
    exfat(image, content)  # by a computer whose clock tells UTC
    forget_zones(image)
    node = loops.attach(image)
    source = opened(replace(context, timezone=zone), node)
    try:
        entry = next(entry for entry in source.scandir(()) if entry.name == b"lower.txt")
        assert abs(entry.mtime_ns / 1e9 + hours * 3600 - LEAP_DAY.timestamp()) <= 2
    finally:
        source.close()


@pytest.fixture
def no_collector() -> Iterator[None]:
    """No garbage collector: a disk can be unmounted as soon as it was read, not once that comes by."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.needs("mkfs.btrfs")
@pytest.mark.usefixtures("no_collector")
def test_subvolumes_belong_to_their_btrfs_and_other_file_systems_do_not(
    context: PluginContext, loops: Loops, content: Path, tmp_path: Path
) -> None:
    image, inner = tmp_path / "disk.img", tmp_path / "inner.img"
    run("mkfs.btrfs", "-q", empty(image, "120M"))
    run("mkfs.ext4", "-q", "-d", str(content), empty(inner, "8M"))
    node, other = loops.attach(image), loops.attach(inner)
    place = tmp_path / "place"
    place.mkdir()
    run("mount", node, str(place))
    try:
        run("btrfs", "subvolume", "create", str(place / "@home"))
        (place / "@home" / "letter").write_text("in a subvolume")
        (place / "mnt").mkdir()
        run("mount", other, str(place / "mnt"))
        try:
            here = contents_or_refusals(context, node, OpenOptions())
            assert here["@home/letter"] == b"in a subvolume"
            assert here["mnt"] == "source.other-filesystem"
            across = contents_or_refusals(context, node, OpenOptions(cross_file_systems=True))
            assert across["mnt/UPPER.TXT"] == b"UPPER.TXT" * 3000
        finally:
            unmount(place / "mnt")
    finally:
        unmount(place)


def contents_or_refusals(context: PluginContext, node: str, options: OpenOptions) -> dict[str, bytes | str | None]:
    """Every path with its content, and the code of the error where a directory was not entered."""
    found = found_on(context, node)
    assert found is not None
    source = open_source(context, found, options)
    assert source is not None
    refused: dict[str, bytes | str | None] = {}
    result: dict[str, bytes | str | None] = {}
    for path, entry in walk(source, on_error=lambda at, error: refused.update({b"/".join(at).decode(): error.code})):
        result[b"/".join(path).decode()] = read(source, path, entry) if entry.type is EntryType.FILE else None
    source.close()
    return result | refused


@pytest.mark.needs("ntfs-3g")
def test_a_damaged_file_system_is_a_sentence_also_where_a_program_reads_it(
    context: PluginContext, loops: Loops, content: Path, tmp_path: Path
) -> None:
    image = tmp_path / "disk.img"
    ntfs(image, content)
    with image.open("r+b") as file:  # record 5 of the master file table, the root: the rest still says NTFS
        file.seek(4 * 4096 + 5 * 1024)
        file.write(bytes(1024))
    node = loops.attach(image)
    found = found_on(context, node)
    assert found is not None
    with pytest.raises(SourceNotFound, match="cannot be mounted, perhaps damaged"):
        open_source(context, found, OpenOptions())
    loops.detach(node)


@pytest.mark.needs("cryptsetup")
def test_encrypted_disks_are_named_as_such(context: PluginContext, loops: Loops, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"no secret")
    luks, bitlocker = tmp_path / "luks.img", tmp_path / "bitlocker.img"
    run(
        *(
            "cryptsetup",
            "luksFormat",
            "--batch-mode",
            "--type=luks2",
            "--pbkdf=pbkdf2",
            "--pbkdf-force-iterations=1000",
        ),
        *(empty(luks, "20M"), str(key)),
    )
    empty(bitlocker, "20M")
    with bitlocker.open("r+b") as file:  # libblkid's superblocks/bitlocker.c: BDE of Windows 7 and later
        file.write(b"\xeb\x58\x90-FVE-FS-")
        file.seek(160)
        file.write(bytes.fromhex("3bd67149292ed84a8399f6a339e3d001") + (4096).to_bytes(8, "little"))
        file.seek(4096)
        file.write(b"-FVE-FS-" + (2).to_bytes(2, "little") + (2).to_bytes(2, "little"))
    for image, name in ((luks, "LUKS"), (bitlocker, "BitLocker")):
        found = found_on(context, loops.attach(image))
        assert found is not None and not found.collectable
        assert f"encrypted with {name}" in str(found.why_not)


@pytest.mark.needs("mkfs.btrfs")
def test_a_btrfs_that_is_written_to_is_read_from_a_snapshot(
    context: PluginContext, loops: Loops, tmp_path: Path
) -> None:
    image, place = tmp_path / "disk.img", tmp_path / "place"
    run("mkfs.btrfs", "-q", empty(image, "120M"))
    node = loops.attach(image)
    place.mkdir()
    run("mount", node, str(place))
    try:
        (place / "ledger").write_text("at the moment")
        run("btrfs", "subvolume", "snapshot", "-r", str(place), str(place / ".kurabako-left behind"))
        source = opened(context, node)
        (place / "ledger").write_text("later")
        (place / "new").write_text("later")
        assert contents(source) == {b"ledger": b"at the moment"}
        again = source.root()
        source.close()
        assert sorted(path.name for path in place.iterdir()) == ["ledger", "new"], "no snapshot stays"
        run("mount", "-o", "remount,ro", str(place))
        source = opened(context, node)
        assert contents(source)[b"ledger"] == b"later", "what nobody writes needs none"
        assert source.root().inode == again.inode
        source.close()
    finally:
        unmount(place)
