"""The unit that mounts disks for the box: as the unit file says it, and read as the box reads it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance_disks import mount_unit
from appliance_disks.mounting import CannotMount
from tests.hw.appliance_disks.test_disks import digest, pulled_while_written
from tests.support.disks import Loops, ext4, run
from tests.support.texts import ROOT

UNIT = (ROOT / "image/systemd/kurabako-mount@.service").read_text()

real = [
    pytest.mark.needs("udevd", "losetup", "mkfs.ext4", "root"),
    pytest.mark.xdist_group("udev"),
]

AS_THE_BOX = """
import json, sys
from pathlib import Path
import appliance_disks
from appliance.hookspecs import PluginContext
from appliance.sources.interface import OpenOptions
from appliance.sources.walk import walk
from appliance_disks.settings import DisksSettings

node, = sys.argv[1:]
context = PluginContext({"disks": DisksSettings()}, Path("/nonexistent/state"), Path("/nonexistent/run"))
found, = (one for one in appliance_disks.discover_sources(context) if one.details["device"] == node)
source = appliance_disks.open_source(context, found, OpenOptions())
names = []
for path, entry in walk(source):
    names.append(b"/".join(path).decode())
    if entry.type == "file":
        file = source.open(path, entry)
        assert file.readinto(memoryview(bytearray(1)))
        file.close()
source.close()
print(json.dumps({"collectable": found.collectable, "mount_point": found.details.get("mount_point"), "names": names}))
"""


def systemd_does(setting: str, disk: str, runtime: Path) -> subprocess.CompletedProcess[str]:
    """Runs the program of a setting of the unit, as for the instance `disk` of a system whose /run is `runtime`."""
    (line,) = re.findall(rf"^{setting}=(.*)$", UNIT, re.MULTILINE)
    line = line.replace("/opt/kurabako/bin/python", sys.executable).replace("%i", disk).replace("%t", str(runtime))
    assert "%" not in line
    return subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Path]:
    """What stands for /run, with the folder that tmpfiles makes; nothing stays mounted in it."""
    place = tmp_path / "run" / "kurabako" / "mounts"
    place.mkdir(parents=True)
    place.chmod(0o750)
    yield tmp_path / "run"
    for left in place.iterdir():
        subprocess.run(["umount", "--lazy", str(left)], check=False, capture_output=True)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    (folder / "給与").mkdir(parents=True, mode=0o700)
    (folder / "給与" / "明細.txt").write_text("root's alone")
    (folder / "給与" / "明細.txt").chmod(0o600)
    (folder / "給与").chmod(0o700)
    return folder


class TestRealDisks:
    pytestmark = real

    @pytest.mark.parametrize("dirty", [False, True], ids=["clean", "journal to replay"])
    def test_no_byte_of_the_disk_changes(
        self, loops: Loops, runtime: Path, content: Path, tmp_path: Path, dirty: bool
    ) -> None:
        image = ext4(tmp_path / "disk.img", content)
        if dirty:
            image = pulled_while_written(loops, image, tmp_path)
        before = digest(image)
        node = loops.attach(image)
        disk = Path(node).name
        done = systemd_does("ExecStart", disk, runtime)
        assert done.returncode == 0, done.stderr
        mounted = runtime / "kurabako/mounts" / disk
        assert (mounted / "給与" / "明細.txt").read_text() == "root's alone"
        flags = os.statvfs(mounted).f_flag
        wanted = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME
        assert flags & wanted == wanted
        done = systemd_does("ExecStopPost", disk, runtime)
        assert done.returncode == 0, done.stderr
        assert not mounted.exists()
        assert node not in Path("/proc/self/mountinfo").read_text()
        loops.detach(node)
        assert digest(image) == before

    @pytest.mark.needs("setpriv")
    def test_the_box_finds_it_mounted_and_reads_what_is_only_roots(
        self, loops: Loops, runtime: Path, content: Path, tmp_path: Path
    ) -> None:
        node = loops.attach(ext4(tmp_path / "disk.img", content))
        disk = Path(node).name
        assert systemd_does("ExecStart", disk, runtime).returncode == 0
        rights = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
        user = ["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all,+dac_read_search"]
        told = json.loads(run("setpriv", *user, *rights, sys.executable, "-c", AS_THE_BOX, node).stdout)
        assert told["collectable"]
        assert told["mount_point"] == str(runtime / "kurabako/mounts" / disk)
        assert "給与/明細.txt" in told["names"]

    def test_a_disk_that_is_read_can_be_taken_away(
        self, loops: Loops, runtime: Path, content: Path, tmp_path: Path
    ) -> None:
        node = loops.attach(ext4(tmp_path / "disk.img", content))
        disk = Path(node).name
        assert systemd_does("ExecStart", disk, runtime).returncode == 0
        with (runtime / "kurabako/mounts" / disk / "給与" / "明細.txt").open() as reader:
            assert systemd_does("ExecStopPost", disk, runtime).returncode == 0
            assert reader.read() == "root's alone"
        assert list((runtime / "kurabako/mounts").iterdir()) == []

    def test_the_vaults_own_disk_stays_free_to_be_mounted_and_written(
        self, loops: Loops, runtime: Path, content: Path, tmp_path: Path
    ) -> None:
        node = loops.attach(ext4(tmp_path / "disk.img", content))
        fstab = tmp_path / "fstab"
        fstab.write_text(f"{node} /srv/kurabako ext4 defaults 0 2\n")
        place = mount_unit.open_place(runtime / "kurabako/mounts")
        try:
            mount_unit.mount(Path(node).name, place, fstab)
        finally:
            os.close(place)
        assert node not in Path("/proc/self/mountinfo").read_text()

    def test_what_cannot_be_mounted_is_a_sentence_and_leaves_nothing(
        self, loops: Loops, runtime: Path, tmp_path: Path
    ) -> None:
        blank = tmp_path / "blank.img"
        blank.write_bytes(bytes(1 << 20))
        for disk in (Path(loops.attach(blank)).name, "nosuchdisk"):
            done = systemd_does("ExecStart", disk, runtime)
            assert done.returncode == 1
            assert disk in done.stderr
            assert "Traceback" not in done.stderr
            assert systemd_does("ExecStopPost", disk, runtime).returncode == 0, "it runs after a failure, too"
        assert list((runtime / "kurabako/mounts").iterdir()) == []


@pytest.mark.needs("root")
def test_root_mounts_only_where_root_alone_can_change_things(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir(mode=0o750)
    os.close(mount_unit.open_place(own))
    (tmp_path / "link").symlink_to(own)
    foreign, shared = tmp_path / "foreign", tmp_path / "shared"
    foreign.mkdir(mode=0o750)
    os.chown(foreign, 65534, 65534)
    shared.mkdir()
    shared.chmod(0o770)
    for place in (tmp_path / "link", foreign, shared, tmp_path / "absent"):
        with pytest.raises(CannotMount, match="not a folder that belongs to root"):
            mount_unit.open_place(place)


@pytest.mark.parametrize("name", ["../etc", "a/b", ".", "", "sdb1\n"])
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        mount_unit.main(["mount", name, str(tmp_path)])
    assert "not the name of a disk" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("UUID=0a-1B /srv/kurabako ext4 defaults 0 2", True),
        ('UUID="0a-1B" /srv/kurabako ext4 defaults 0 2', True),
        ("LABEL=Backup\\040disk /srv/kurabako ext4 defaults 0 2", True),
        ("  /dev/disk/by-id/usb-disk-part1\t/srv ext4", True),
        ("/dev/sdz1 /srv ext4", True),
        ("PARTUUID=77 /srv ext4", True),
        ("#UUID=0a-1B /srv ext4", False),
        ("UUID=0a-1C /srv ext4", False),
        ("", False),
    ],
)
def test_a_disk_of_fstab_is_left_to_those_who_mount_it(line: str, named: bool, tmp_path: Path) -> None:
    """It may be the vault's own disk, which a read-only mount would keep from being mounted to be written."""
    device = SimpleNamespace(
        device_node="/dev/sdz1",
        device_links=["/dev/disk/by-id/usb-disk-part1"],
        properties={"ID_FS_UUID": "0a-1B", "ID_FS_LABEL": "Backup disk", "ID_PART_ENTRY_UUID": "77"},
    )
    fstab = tmp_path / "fstab"
    fstab.write_text(f"proc /proc proc\n{line}\n")
    assert mount_unit.is_named_in(fstab, device) is named
    assert not mount_unit.is_named_in(tmp_path / "absent", device)
