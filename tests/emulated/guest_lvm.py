"""A logical volume that is written to while it is backed up, read from a snapshot. Runs in the emulated machine.

`test_emulated.py` starts it; here, pytest does not collect it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import appliance_disks
from appliance.hookspecs import PluginContext
from appliance.sources.interface import FoundSource, OpenOptions, Source
from appliance_disks.settings import DisksSettings
from tests.hw.appliance_disks.test_disks import contents
from tests.support.disks import run, wait_for
from tests.support.texts import ROOT

pytestmark = pytest.mark.timeout(900)  # an emulated processor's seconds

GROUP, VOLUME = "tenken-vg", "kaikei"
UNIT = ROOT / "image/systemd/kurabako-disks@.service"
SNAPSHOT = f"kurabako-{VOLUME}"
LEDGER = "帳簿/令和8年.txt"
THEN = "百万円".encode() * 50_000
LATER = "二百万円".encode() * 50_000


@dataclass
class Server:
    """A file server's volume: its group, and where its file system is mounted to be written."""

    context: PluginContext
    place: Path

    def found(self) -> FoundSource:
        """The volume as the box sees it; it sees no snapshot as a source."""
        mapped = [
            one
            for one in appliance_disks.discover_sources(self.context)
            if str(one.details["device"]).startswith("/dev/dm-")
        ]
        assert [one.details.get("label") for one in mapped] == ["KAIKEI"], mapped
        return mapped[0]

    def opened(self) -> Source:
        source = appliance_disks.open_source(self.context, self.found(), OpenOptions())
        assert source is not None
        return source

    def write(self, data: bytes) -> None:
        (self.place / LEDGER).parent.mkdir(exist_ok=True)
        (self.place / LEDGER).write_bytes(data)
        run("sync", "--file-system", str(self.place))

    def volumes(self) -> list[str]:
        return run("lvs", "--noheadings", "-o", "lv_name", GROUP).stdout.decode().split()


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    disk, place = tmp_path / "disk.img", tmp_path / "place"
    place.mkdir()
    run("truncate", "--size=500M", str(disk))
    loop = run("losetup", "--find", "--show", str(disk)).stdout.decode().strip()
    run("vgcreate", "--quiet", GROUP, loop)
    run("lvcreate", "--yes", "--quiet", "--size=320M", f"--name={VOLUME}", GROUP)
    node = f"/dev/{GROUP}/{VOLUME}"
    run(f"mkfs.{request.param}", "-q", "-L", "KAIKEI", node)
    run("udevadm", "trigger", "--action=change", "--settle", node)
    run("mount", node, str(place))
    yield Server(PluginContext({"disks": DisksSettings()}, tmp_path / "state", tmp_path / "run"), place)
    run("umount", str(place))
    run("vgremove", "--yes", "--quiet", GROUP)
    run("losetup", "--detach", loop)


@pytest.mark.parametrize("server", ["xfs"], indirect=True)
def test_what_is_written_meanwhile_is_not_read(server: Server) -> None:
    server.write(THEN)
    source = server.opened()
    assert server.volumes() == [VOLUME, SNAPSHOT]
    server.write(LATER)
    (server.place / "new").write_text("later")
    read = {name.decode(): data for name, data in contents(source).items() if name != b"lost+found"}
    inode = source.root().inode
    source.close()
    assert read == {"帳簿": None, LEDGER: THEN}
    assert server.volumes() == [VOLUME]
    assert inode == server.place.stat().st_ino, "the next run knows the files again"


OPEN_AND_WAIT = """
import sys, time
from pathlib import Path
from appliance_disks.asking import ask_for_snapshot
held = ask_for_snapshot(Path(sys.argv[1]), sys.argv[2])
print(held._helper.pid if held else "none", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("server", ["ext4"], indirect=True)
def test_no_snapshot_outlives_the_box_or_its_helper(server: Server) -> None:
    server.write(THEN)
    name = Path(str(server.found().details["device"])).name
    rights = re.findall(r"CAP_(\w+)", next(line for line in UNIT.read_text().splitlines() if "BoundingSet" in line))
    as_the_unit = ["setpriv", "--bounding-set", ",".join(["-all", *(f"+{right.lower()}" for right in rights)])]
    program = [*as_the_unit, sys.executable, "-c", OPEN_AND_WAIT, str(server.context.run_dir), name]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as box:
        assert box.stdout is not None
        os.kill(int(box.stdout.readline()), signal.SIGTERM)  # the machine is shut down: all are told at once
        assert server.volumes() == [VOLUME, SNAPSHOT], "the box still reads"
        box.kill()
    wait_for(lambda: server.volumes() == [VOLUME], "the helper takes the snapshot of a killed box away", seconds=120)

    # What a power cut leaves behind: nobody was left to take it away.
    run("lvcreate", "--yes", "--quiet", "--snapshot", "--size=32M", f"--name={SNAPSHOT}", f"{GROUP}/{VOLUME}")
    server.write(LATER)
    source = server.opened()
    assert contents(source)[LEDGER.encode()] == LATER, "the next run takes one of its own"
    source.close()
    assert server.volumes() == [VOLUME]
