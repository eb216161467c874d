"""The helper that does for the box what only root may: as its unit runs it, asked as the box asks it."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.sources.interface import SourceNotFound
from appliance_disks.asking import SOCKET, HelperSaid, ask_for_health, ask_to_mount
from appliance_disks.helper import BadRequest, is_named_in, serve
from appliance_disks.mounting import CannotMount
from tests.hw.appliance_disks.test_disks import digest, pulled_while_written
from tests.support.disks import Loops, ext4, run, unmount, wait_for
from tests.support.texts import ROOT

UNIT = ROOT / "image/systemd/kurabako-disks@.service"

real = [
    pytest.mark.needs("udevd", "losetup", "mkfs.ext4", "root", "systemd-socket-activate"),
    pytest.mark.xdist_group("udev"),
]

AS_THE_BOX = """
import json, os, sys
from pathlib import Path
import appliance_disks
from appliance.hookspecs import PluginContext
from appliance.sources.interface import OpenOptions
from appliance.sources.walk import walk
from appliance_disks.settings import DisksSettings

node, run_dir = sys.argv[1:]
context = PluginContext({"disks": DisksSettings()}, Path("/nonexistent/state"), Path(run_dir))
found, = (one for one in appliance_disks.discover_sources(context) if one.details["device"] == node)
source = appliance_disks.open_source(context, found, OpenOptions())
read = {}
for path, entry in walk(source):
    if entry.type == "file":
        file = source.open(path, entry)
        buffer = bytearray(100)
        read[b"/".join(path).decode()] = buffer[:file.readinto(memoryview(buffer))].decode()
        file.close()
source.close()
print(json.dumps({"uid": os.getuid(), "collectable": found.collectable, "read": read}))
"""


@pytest.fixture
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The box's folder for sockets, in which the helper's is served as kurabako-disks.socket says."""
    folder = tmp_path_factory.mktemp("r")
    unit = configparser.ConfigParser(strict=False)
    unit.read_string("\n".join(line for line in UNIT.read_text().splitlines() if not line.startswith("DeviceAllow")))
    program = shlex.split(unit["Service"]["ExecStart"].replace("/opt/kurabako/bin/python", sys.executable))
    served = subprocess.Popen(
        ["systemd-socket-activate", "--accept", "--inetd", f"--listen={folder / SOCKET}", *program],
        stderr=subprocess.DEVNULL,
    )
    wait_for((folder / SOCKET).exists, "the helper's socket")
    yield folder
    served.terminate()
    served.wait()


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    (folder / "給与").mkdir(parents=True, mode=0o700)
    (folder / "給与" / "明細.txt").write_text("root's alone")
    (folder / "給与" / "明細.txt").chmod(0o600)
    return folder


class TestRealDisks:
    pytestmark = real

    @pytest.mark.parametrize("dirty", [False, True], ids=["clean", "journal to replay"])
    def test_no_byte_of_the_disk_changes(
        self, loops: Loops, run_dir: Path, content: Path, tmp_path: Path, dirty: bool
    ) -> None:
        image = ext4(tmp_path / "disk.img", content)
        if dirty:
            image = pulled_while_written(loops, image, tmp_path)
        before = digest(image)
        node = loops.attach(image)
        held = ask_to_mount(run_dir, Path(node).name, 0)
        mounted = Path(f"/proc/self/fd/{held.descriptor}")
        assert (mounted / "給与" / "明細.txt").read_text() == "root's alone"
        flags = os.statvfs(mounted).f_flag
        wanted = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME
        assert flags & wanted == wanted
        assert node not in Path("/proc/self/mountinfo").read_text()
        held.close()
        loops.detach(node)
        assert digest(image) == before

    @pytest.mark.needs("setpriv")
    def test_a_box_without_rights_reads_what_is_only_roots(
        self, loops: Loops, run_dir: Path, content: Path, tmp_path: Path
    ) -> None:
        node = loops.attach(ext4(tmp_path / "disk.img", content))
        for place in (run_dir, *run_dir.parents):
            if place.stat().st_uid == 0 and place != Path("/"):
                place.chmod(place.stat().st_mode | 0o011)
        (run_dir / SOCKET).chmod(0o666)
        rights = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
        user = ["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all,+dac_read_search"]
        told = json.loads(run("setpriv", *user, *rights, sys.executable, "-c", AS_THE_BOX, node, str(run_dir)).stdout)
        assert told == {"uid": 65534, "collectable": True, "read": {"給与/明細.txt": "root's alone"}}

    @pytest.mark.needs("ntfs-3g")
    def test_a_program_that_reads_for_the_kernel_ends_with_the_box(
        self, loops: Loops, run_dir: Path, tmp_path: Path
    ) -> None:
        image = tmp_path / "ntfs.img"
        run("truncate", "-s", "8M", str(image))
        run("mkfs.ntfs", "-F", "-q", str(image))
        before = digest(image)
        node = loops.attach(image)
        script = "import sys, time\nfrom pathlib import Path\nfrom appliance_disks.asking import ask_to_mount\n"
        script += "held = ask_to_mount(Path(sys.argv[1]), sys.argv[2], 0)\nprint('held', flush=True)\ntime.sleep(600)\n"
        with subprocess.Popen(
            [sys.executable, "-c", script, str(run_dir), Path(node).name], stdout=subprocess.PIPE
        ) as box:
            assert box.stdout is not None
            assert box.stdout.readline() == b"held\n"
            box.kill()
        loops.detach(node)  # waits until nobody holds it
        assert digest(image) == before

    @pytest.mark.needs("ntfs-3g")
    def test_other_disks_can_be_ejected_while_a_program_reads_one(
        self, loops: Loops, run_dir: Path, content: Path, tmp_path: Path
    ) -> None:
        image, media = tmp_path / "ntfs.img", tmp_path / "media"
        run("truncate", "-s", "8M", str(image))
        run("mkfs.ntfs", "-F", "-q", str(image))
        other = loops.attach(ext4(tmp_path / "other.img", content))
        media.mkdir()
        run("mount", "-t", "tmpfs", "media", str(media))
        try:
            run("mount", "--make-shared", str(media))  # as systemd makes all of them
            (media / "other").mkdir()
            run("mount", other, str(media / "other"))
            held = ask_to_mount(run_dir, Path(loops.attach(image)).name, 0)
            unmount(media / "other")
            loops.detach(other)  # waits until nobody holds it
            held.close()
        finally:
            run("umount", "--recursive", str(media))

    def test_the_vaults_own_disk_stays_free_to_be_mounted_and_written(
        self, loops: Loops, content: Path, tmp_path: Path
    ) -> None:
        node = loops.attach(ext4(tmp_path / "disk.img", content))
        fstab = tmp_path / "fstab"
        fstab.write_text(f"{node} /srv/kurabako ext4 defaults 0 2\n")
        said = answer_to({"do": "mount", "disk": Path(node).name}, fstab)
        assert "is in /etc/fstab" in said["error"]["what"]["message"]

    def test_what_cannot_be_mounted_is_a_sentence(
        self, loops: Loops, run_dir: Path, content: Path, tmp_path: Path
    ) -> None:
        image = ext4(tmp_path / "disk.img", content)
        os.truncate(image, 1 << 20)  # the superblock tells of more than there is
        node = loops.attach(image)
        with pytest.raises(CannotMount, match="perhaps damaged"):
            ask_to_mount(run_dir, Path(node).name, 0)
        with pytest.raises(CannotMount, match="no longer connected"):
            ask_to_mount(run_dir, "nosuchdisk", 0)

    @pytest.mark.needs("smartctl")
    def test_a_disk_that_says_nothing_of_its_health(
        self, loops: Loops, run_dir: Path, content: Path, tmp_path: Path
    ) -> None:
        node = loops.attach(ext4(tmp_path / "disk.img", content))
        assert ask_for_health(run_dir, Path(node).name)["smartctl"]["exit_status"] != 0


def answer_to(request: Any, fstab: Path = Path("/etc/fstab")) -> Any:
    """What the helper answers to one line."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        line = request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n"
        ours.sendall(line)
        ours.shutdown(socket.SHUT_WR)
        serve(theirs, fstab)
        return json.loads(ours.recv(65536))


@pytest.mark.parametrize(
    "request_line",
    [
        b"",
        b"not JSON\n",
        b"[1]\n",
        b'{"do": "format", "disk": "sda"}\n',
        b'{"do": "mount"}\n',
        b'{"do": "mount", "disk": "../etc/shadow"}\n',
        b'{"do": "mount", "disk": "a/b"}\n',
        b'{"do": "mount", "disk": "sda\\n"}\n',
        b'{"do": "health", "disk": "-d"}\n',
        b'{"do": "mount", "disk": "' + b"a" * 5000 + b'"}\n',
        b"[" * 4000 + b"\n",
    ],
)
def test_what_is_no_request_is_refused(request_line: bytes) -> None:
    said = answer_to(request_line)
    assert not said["ok"]
    assert said["error"]["code"] in (BadRequest.code, CannotMount.code)


def test_without_helper_and_rights_the_box_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SourceNotFound, match="no right to mount"):
        ask_to_mount(tmp_path, "sda1", 0)


@pytest.mark.parametrize("line", [b"", b"{\n", b'{"ok": true}\n'])
def test_a_helper_that_gives_no_proper_answer_is_named(line: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("r")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / SOCKET))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(line)

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises((CannotMount, HelperSaid)):
            ask_to_mount(folder, "sda1", 0)
        answering.join()


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
    assert is_named_in(fstab, device) is named
    assert not is_named_in(tmp_path / "absent", device)
