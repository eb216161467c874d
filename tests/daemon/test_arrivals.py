"""Disks that come and go under a running box: backed up when they come, unplugged, pulled, and there again."""

from __future__ import annotations

import os
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.identity import box_id
from appliance.status import codec
from appliance.status.lines import status_lines
from tests.support.contract import Provider
from tests.support.daemon import BoxUnderTest, Served, eventually, fill
from tests.support.disks import Loops, Udev, ext4, loops, run, udevd

__all__ = ["Udev", "loops", "udevd"]

LABEL = f"写真{os.getpid()}"
"""Of this test's disks alone: others may have disks at the same time."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.needs("root", "udevd", "losetup", "mkfs.ext4"),
    pytest.mark.xdist_group("udev"),
]


@pytest.fixture
def box(tmp_path: Path) -> BoxUnderTest:
    box = BoxUnderTest.make(tmp_path)
    assert box.run("setup").code == 0
    return box


def ask(served: Served, command: str, **arguments: Any) -> Any:
    with served.client() as client:
        return client.ask(command, arguments)


def disk(served: Served, title: str) -> Any:
    """The disk of this title as the box knows it; None while it does not."""
    found = [one for one in served.status()["sources"] if one["kind"] == "disk" and one["title"] == title]
    return found[0] if found else None


def designated(served: Served, title: str) -> str:
    source_id: str = eventually(lambda: disk(served, title), "the disk is found")["id"]
    ask(served, "designate", id=source_id)
    return source_id


def wait_until_gone(served: Served, source_id: str) -> None:
    """By its id: another disk may have the same title."""
    eventually(
        lambda: {one["id"]: one["present"] for one in served.status()["sources"]}[source_id] is False,
        "the disk is gone",
    )


def results(served: Served, source_id: str) -> list[Any]:
    """What became of this source's backups, the newest first."""
    return [one for one in served.status()["results"] if one["subject"] == source_id]


def backed_up(served: Served, source_id: str, times: int) -> Any:
    """The newest result, once there are so many and nothing runs any more."""

    def look() -> Any:
        status = served.status()
        found = [one for one in status["results"] if one["subject"] == source_id]
        return found[0] if len(found) >= times and not status["jobs"] else None

    return eventually(look, f"{times} backups of {source_id} have ended")


def test_a_designated_disk_is_backed_up_when_it_comes_and_then_may_be_unplugged(
    box: BoxUnderTest, loops: Loops, tmp_path: Path
) -> None:
    fill(tmp_path / "content", files=3)
    image = ext4(tmp_path / "disk.img", tmp_path / "content", LABEL)
    other = ext4(tmp_path / "other.img", tmp_path / "content", LABEL)
    node = loops.attach(image)
    with box.serving() as served:
        source_id = designated(served, LABEL)
        assert results(served, source_id) == [], "designating starts nothing"
        loops.detach(node)
        wait_until_gone(served, source_id)

        loops.attach(other)  # of the same label, in the same place, but another disk
        node = loops.attach(image)
        assert backed_up(served, source_id, 1)["outcome"] == "done"
        by_id = {one["id"]: one for one in served.status()["sources"] if one["title"] == LABEL}
        assert by_id.pop(source_id)["may_unplug"] is True
        (stranger,) = by_id.values()
        assert not stranger["designated"] and stranger["last_backup_at"] is None
        eventually(lambda: f"notice source.may-unplug: testbox: {LABEL} has been backed up" in box.log(), "the notice")
        assert "may be unplugged" in "\n".join(status_lines(codec.from_json(served.status()), "en"))
        assert node not in Path("/proc/self/mountinfo").read_text(), "nothing holds it"

        ask(served, "set_policy", id=source_id, name="start", words=["schedule"])
        loops.detach(node)
        wait_until_gone(served, source_id)
        loops.attach(image)
        eventually(lambda: {one["id"]: one["present"] for one in served.status()["sources"]}[source_id], "it is back")
        served.status()  # has looked and decided
        assert len(results(served, source_id)) == 1 and not served.status()["jobs"]
    assert "Traceback" not in box.log()


def test_a_disk_pulled_in_the_middle_goes_on_when_it_comes_again(
    box: BoxUnderTest, loops: Loops, tmp_path: Path
) -> None:
    content = tmp_path / "content"
    fill(content, files=24, size=4_000_000)
    image = ext4(tmp_path / "disk.img", content, LABEL, "160M")
    whole = Path(shutil.copy(image, tmp_path / "whole.img"))
    node = loops.attach(image)
    with box.serving() as served:
        source_id = designated(served, LABEL)
        loops.detach(node)
        wait_until_gone(served, source_id)
        ask(served, "set_policy", id=source_id, name="read_limit", words=["8 MB"])
        node = loops.attach(image)
        pull(served, box, image, node)
        assert backed_up(served, source_id, 1)["outcome"] == "partial"
        (half,) = box.json("snapshots")
        assert {"partial", "source-lost"} <= set(half["tags"])
        stored = size_of(box.vault / "data")
        assert stored > 10_000_000, "what was read is kept"
        loops.detach(node)
        ask(served, "set_policy", id=source_id, name="read_limit", words=None)

        loops.attach(whole)
        assert backed_up(served, source_id, 2)["outcome"] == "done"
        assert size_of(box.vault / "data") < 24 * 4_000_000 * 1.02, "nothing is stored twice"
    target = tmp_path / "restored"
    path = box.json("snapshots")[-1]["paths"][0]
    assert box.run("restore", f"latest:{path}", "--target", str(target)).code == 0
    shutil.rmtree(target / "lost+found")
    run("diff", "-r", str(content), str(target))
    assert "Traceback" not in box.log()


def test_a_disk_that_comes_or_goes_makes_the_box_ask_its_places_at_once(
    box: BoxUnderTest, loops: Loops, tmp_path: Path
) -> None:
    """The disk of the vault may be the one: a quarter of an hour would be long."""
    (tmp_path / "content").mkdir()
    image = ext4(tmp_path / "disk.img", tmp_path / "content", LABEL)
    with box.serving() as served:
        eventually(lambda: served.status()["vault"]["reachable"] is True, "the vault was asked")
        away = box.vault.rename(box.vault.with_name("away"))
        node = loops.attach(image)
        eventually(lambda: served.status()["vault"]["reachable"] is False, "the vault is missed")
        away.rename(box.vault)
        loops.detach(node)
        eventually(lambda: served.status()["vault"]["reachable"] is True, "the vault is there again")


def pull(served: Served, box: BoxUnderTest, image: Path, node: str) -> None:
    """Takes the disk away while it is backed up: some of it was stored then, and not all."""

    def look() -> int | None:
        child = served.child()
        if child is None or not any(path.is_file() for path in (box.vault / "data").rglob("*")):
            return None
        os.kill(child, signal.SIGSTOP)
        return child

    child = eventually(look, "the first pack is stored")
    assert not any((box.vault / "snapshots").glob("*")), "too fast for this test"
    os.truncate(image, 0)
    run("losetup", "--set-capacity", node)  # as a card reader tells that its card was taken out
    os.kill(child, signal.SIGCONT)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_stick_that_brings_a_directive_is_read_for_it_and_for_nothing_else(loops: Loops, tmp_path: Path) -> None:
    provider = Provider(tmp_path)
    own = {"contract": {"provider_key_file": provider.key_file}, "directives": {"from_disks": True}}
    box = BoxUnderTest.make(tmp_path, **own)
    assert box.run("setup").code == 0
    moment = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    stop = provider.directive(
        "suspension",
        number=1,
        box=box_id(),
        issued_at=moment,
        suspension="provision",
        starts_at=moment,
        reason="Arrears",
        reason_code="14-1-5",
    )
    content = tmp_path / "content"
    fill(content, files=1)
    (content / "kurabako" / "directives").mkdir(parents=True)
    (content / "kurabako" / "directives" / "1.jws").write_text(stop)
    image = ext4(tmp_path / "stick.img", content, LABEL)
    before = image.read_bytes()
    with box.serving() as served:
        ask(served, "install_entitlement", document=provider.signed(box=box_id(), capacity="5 MB"))
        assert served.status()["contract"]["state"] == "active"
        loops.attach(image)
        eventually(lambda: served.status()["contract"]["state"] == "suspended_provision", "the stick was read")
        stick = disk(served, LABEL)
        assert not stick["designated"] and results(served, stick["id"]) == []
    (taken,) = box.json("contract", "directives")["directives"]
    assert (taken["kind"], taken["way"]) == ("suspension", "disk")
    assert image.read_bytes() == before
