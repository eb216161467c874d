"""A disk with the box's memory that is full: the box says so, serves on, and forgets it once there is room again."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import KurabakoError
from tests.support.daemon import BoxUnderTest, Served, eventually, fill
from tests.support.disks import run

pytestmark = [pytest.mark.slow, pytest.mark.needs("root", "losetup")]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A place for the box's memory that is soon full."""
    place = tmp_path / "small"
    place.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=4M", "small", str(place))
    yield place
    run("umount", "--lazy", str(place))


def fill_up(place: Path) -> Path:
    """Takes all the room that is left; the file that holds it."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return filler


def problem(served: Served, code: str = "state.failed") -> Any:
    return next((one for one in served.status()["problems"] if one["code"] == code), None)


def fill_until_refused(served: Served, place: Path) -> Path:
    """Fills the place until the box's memory takes nothing more; what to delete to make room."""
    filler = fill_up(place)
    with served.client() as client, pytest.raises(KurabakoError) as refused:
        source_id = served.box.source_id
        for _ in range(1000):  # the journal has some room of its own
            client.ask("set_policy", {"id": source_id, "name": "exclude", "words": [os.urandom(2000).hex()]})
    assert refused.value.code == "state.failed"
    assert "cannot be used" in str(refused.value.what)
    return filler


def test_a_memory_that_cannot_be_written_is_a_problem_until_it_can(tmp_path: Path, small: Path) -> None:
    box = BoxUnderTest.make(tmp_path, box={"state_dir": small / "state"})
    (box.source / "letter").write_text("kept")
    box.set_up()
    with box.serving() as served:
        assert problem(served) is None
        filler = fill_until_refused(served, small)
        assert "memory" in box.run("backup").err
        found = eventually(lambda: problem(served), "the status tells of it")
        assert found["severity"] == "attention" and found["todo"]
        assert served.process.poll() is None

        filler.unlink()
        assert box.run("backup").code == 0
        eventually(lambda: problem(served) is None, "it is forgotten once there is room")
    assert "Traceback" not in box.log()
    assert box.log().count("notice state.failed") == 2, "a person is told that it began and that it ended"


def test_a_job_that_ends_while_the_memory_is_full_is_recorded_once_there_is_room(tmp_path: Path, small: Path) -> None:
    """Until then the status says that it is not; the record of the contract catches up, too."""
    box = BoxUnderTest.make(tmp_path, box={"state_dir": small / "state"})
    fill(box.source, files=8, size=20_000_000)
    box.set_up()
    with box.serving() as served:
        asking = threading.Thread(target=lambda: box.run("backup"))
        asking.start()
        child = served.stopped_in_the_middle()
        (job,) = served.status()["jobs"]
        filler = fill_until_refused(served, small)
        os.kill(child, signal.SIGCONT)
        found = eventually(
            lambda: (one := problem(served)) and "waiting" in one["what"]["values"] and one, "it is told as unrecorded"
        )
        assert found["what"]["values"]["waiting"]["values"] == {"count": 1}
        assert job["id"] not in [one["id"] for one in served.status()["results"]]

        filler.unlink()
        eventually(lambda: problem(served) is None, "all is written")
        asking.join(60)
        assert job["id"] in [one["id"] for one in served.status()["results"]]
    entries = [json.loads(line) for line in (small / "state" / "evidence.jsonl").read_text().splitlines()]
    (told,) = [one for one in entries if one["kind"] == "job" and one["payload"]["job"] == job["id"]]
    assert told["payload"]["ended_at"] < told["at"]
    assert "Traceback" not in box.log()


def test_a_box_starts_with_a_memory_that_is_full(tmp_path: Path, small: Path) -> None:
    """A job that was broken off is told, and started again, by the first start that can write it down."""
    box = BoxUnderTest.make(tmp_path, box={"state_dir": small / "state"})
    fill(box.source, files=8, size=20_000_000)
    box.set_up()
    with box.serving() as served:
        asking = threading.Thread(target=lambda: box.run("backup"))
        asking.start()
        child = served.stopped_in_the_middle()
        filler = fill_until_refused(served, small)
        served.process.kill()
        served.process.wait()
        os.kill(child, signal.SIGKILL)
        asking.join(60)
    with box.serving() as served:
        eventually(lambda: problem(served), "the status tells of it")
    filler.unlink()
    with box.serving() as served:
        eventually(
            lambda: (box.vault / "snapshots").exists() and any((box.vault / "snapshots").iterdir()), "it goes on"
        )
        assert problem(served) is None
    assert "Traceback" not in box.log()
