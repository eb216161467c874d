"""What happens to a source while it is backed up: a file changes, a disk is pulled, a share's server goes away."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import BoxUnderTest, Served, eventually, fill
from tests.support.disks import Loops, Udev, loops, udevd
from tests.support.smbd import start_smbd

__all__ = ["Udev", "loops", "udevd"]

pytestmark = pytest.mark.slow


@pytest.fixture
def box(tmp_path: Path) -> BoxUnderTest:
    return BoxUnderTest.make(tmp_path)


def _designated(box: BoxUnderTest, kind: str) -> str:
    """Designates the source of this kind that can be collected; its id."""
    (source,) = (one for one in box.json("sources")["sources"] if one["kind"] == kind and one["collectable"])
    source_id: str = source["id"]
    assert box.run("sources", "designate", source_id).code == 0
    return source_id


def _backed_up_while(box: BoxUnderTest, served: Served, source_id: str, happens: Callable[[], None]) -> Any:
    """The ended job of a backup that stood still while `happens()`: some of it was stored then, and not all."""
    before = _packs(box)
    snapshots = {path.name for path in (box.vault / "snapshots").glob("*")}
    ended: list[Any] = []
    asking = threading.Thread(target=lambda: ended.append(box.run("backup", source_id, "--json")))
    asking.start()

    def look() -> int | None:
        child = served.child()
        if child is None or _packs(box) <= before:
            return None
        os.kill(child, signal.SIGSTOP)
        return child

    child = eventually(look, "the first pack is stored")
    assert {path.name for path in (box.vault / "snapshots").glob("*")} == snapshots, "too fast for this test"
    happens()
    os.kill(child, signal.SIGCONT)
    asking.join(120)
    (job,) = json.loads(ended[0].out)["jobs"]
    assert job["exit_code"] == ended[0].code
    return job


def _packs(box: BoxUnderTest) -> int:
    return sum(path.is_file() for path in (box.vault / "data").rglob("*"))


def test_a_file_that_changes_or_vanishes_while_it_is_read_harms_no_other(box: BoxUnderTest) -> None:
    fill(box.source, files=8, size=20_000_000)
    (box.source / "zz-log.txt").write_text("line\n" * 1000)
    gone = box.source / "zzz-draft.txt"
    gone.write_text("draft")
    box.set_up()

    def somebody_works() -> None:
        for path in sorted(box.source.rglob("*.bin")):
            with path.open("ab") as file:
                file.write(b"appended")
        with (box.source / "zz-log.txt").open("a") as log:
            log.write("one more\n")
        gone.unlink()

    with box.serving() as served:
        job = _backed_up_while(box, served, box.source_id, somebody_works)
        assert job["outcome"] in ("done", "partial"), job
        assert job["exit_code"] in (0, 3)
        names = [Path(node["path"]).name for node in box.json("ls")["nodes"]]
        assert "zz-log.txt" in names
        assert len([name for name in names if name.endswith(".bin")]) == 8
        assert box.json("backup")["jobs"][0]["outcome"] == "done", "the next run has it all"
        assert box.json("check", "--read-data")["jobs"][0]["details"]["ok"]
    target = box.folder / "restored"
    assert box.run("restore", f"latest:{box.source}", "--target", str(target)).code == 0
    subprocess.run(["diff", "-r", str(box.source), str(target)], check=True)
    assert "Traceback" not in box.log()


@pytest.mark.needs("root", "smbd")
@pytest.mark.xdist_group("smbd")
def test_a_server_that_goes_away_leaves_what_was_read_and_all_that_was_there(box: BoxUnderTest) -> None:
    with start_smbd() as server:
        documents = server.folder("文書")
        fill(documents, files=2, size=1000)
        server.give(documents)
        secret = box.folder / "secrets" / "smb"
        secret.parent.mkdir(mode=0o700)
        shutil.copy(server.password_file, secret)
        share = {"url": server.url(folder="文書"), "password_file": secret, "title": "経理"}
        box.tables["smb"] = {"shares": [share], "timeout": 5.0, "patience": 5.0}
        box.write()
        assert box.run("setup").code == 0
        with box.serving() as served:
            source_id = _designated(box, "smb")
            assert box.json("backup", source_id)["jobs"][0]["outcome"] == "done"
            before = box.json("snapshots")
            fill(documents, files=20, size=20_000_000, seed=8)
            server.give(documents)
            job = _backed_up_while(box, served, source_id, server.kill)
            assert job["outcome"] == "partial", job
            assert job["details"]["lost"] is True
            assert "文書" in job["details"]["unreadable"][0]["why"]
            assert {one["id"] for one in before} <= {one["id"] for one in box.json("snapshots")}
            assert box.run("backup", source_id).code == 1, "the server is still away, and that is said"
            assert box.json("check", "--read-data")["jobs"][0]["details"]["ok"]
            assert served.status()["state"] == "attention"
    assert "Traceback" not in box.log()


@pytest.mark.needs("root", "udevd", "losetup", "mkfs.ext4")
@pytest.mark.xdist_group("udev")
def test_a_disk_pulled_in_the_middle_leaves_what_was_read_and_the_box_at_work(
    box: BoxUnderTest,
    loops: Loops,
) -> None:
    content = box.folder / "content"
    fill(content, files=10, size=20_000_000)
    image = box.folder / "disk.img"
    with image.open("wb") as file:
        file.truncate(300 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-L", "写真", "-d", str(content), str(image)], check=True)
    node = loops.attach(image)
    place = box.folder / "place"
    place.mkdir()
    subprocess.run(["mount", "-o", "ro", node, str(place)], check=True)
    assert box.run("setup").code == 0

    def pulled() -> None:
        # Every read of it fails from now on, and the system takes away its mount.
        os.truncate(image, 0)
        subprocess.run(["umount", "--lazy", str(place)], check=True)

    with box.serving() as served:
        source_id = next(
            one["id"] for one in box.json("sources")["sources"] if one["kind"] == "disk" and one["title"] == "写真"
        )
        assert box.run("sources", "designate", source_id).code == 0
        job = _backed_up_while(box, served, source_id, pulled)
        assert job["outcome"] == "partial", job
        assert job["details"]["lost"] is True
        assert "写真" in job["details"]["unreadable"][0]["why"]
        fill(box.source)
        assert box.run("sources", "designate", box.source_id).code == 0
        assert box.json("backup", box.source_id)["jobs"][0]["outcome"] == "done", "other sources go on"
        assert box.json("check", "--read-data")["jobs"][0]["details"]["ok"]
    assert "Traceback" not in box.log()
