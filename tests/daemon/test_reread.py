"""A disk whose file looks unchanged and is not, as after a fault of its own: found when its files are read again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.box import Box
from appliance.daemon.requests import BackupJob
from appliance.daemon.work import run_job
from appliance.repository import BlobType
from appliance.status.model import Outcome
from tests.support.daemon import BoxUnderTest
from tests.support.disks import Loops, Udev, loops, run, udevd, unmount

__all__ = ["Udev", "loops", "udevd"]

START = datetime(2026, 11, 21, 3, tzinfo=UTC)
BEFORE, AFTER = b"as it was written" * 100, b"as it has become." * 100


@pytest.mark.needs("root", "udevd", "losetup", "mkfs.exfat", "exfat-fuse")
@pytest.mark.xdist_group("udev")
def test_every_file_is_read_again_after_the_days_of_the_policy(loops: Loops, tmp_path: Path) -> None:
    image, place = tmp_path / "disk.img", tmp_path / "place"
    place.mkdir()
    run("truncate", "-s", "8M", str(image))
    run("mkfs.exfat", str(image))
    node = loops.attach(image)
    run("mount.exfat-fuse", node, str(place))
    (place / "ledger").write_bytes(BEFORE)
    unmount(place)
    under_test = BoxUnderTest.make(tmp_path / "box")
    under_test.set_up()
    now = START
    box = Box.open(under_test.config, clock=lambda: now)

    def read_after(days: int) -> bytes:
        nonlocal now
        now = START + timedelta(days=days)
        report = run_job(box, BackupJob(source), lambda progress: None, lambda: False)
        assert report.outcome is Outcome.DONE, report
        repository = box.open_home()
        repository.load_index()
        tree = repository.load_tree(repository.find_snapshot("latest").tree_id)
        while (ledger := tree.find(b"ledger")) is None:
            (folder,) = tree.nodes
            tree = repository.load_tree(folder.subtree_id)
        return b"".join(repository.load_blob(BlobType.DATA, bytes.fromhex(blob)) for blob in ledger.content or ())

    (source,) = (one.found.id for one in box.known_sources() if one.found.details.get("device") == node)
    box.designate(source)
    box.set_policy(source, "reread_days", ["7"])
    assert read_after(0) == BEFORE

    loops.detach(node)
    data = image.read_bytes()
    assert data.count(BEFORE) == 1
    image.write_bytes(data.replace(BEFORE, AFTER))
    node = loops.attach(image)
    assert read_after(6) == BEFORE, "it looks as before"
    assert read_after(7) == AFTER
    box.set_policy(source, "reread_days", ["none"])
    loops.detach(node)
    image.write_bytes(data)
    node = loops.attach(image)
    assert read_after(400) == AFTER, "never again"
