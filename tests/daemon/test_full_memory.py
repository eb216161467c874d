"""A disk with the box's memory that is full: the box says so, serves on, and forgets it once there is room again."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import KurabakoError
from tests.support.daemon import BoxUnderTest, Served, eventually
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


def problem(served: Served) -> Any:
    return next((one for one in served.status()["problems"] if one["code"] == "state.failed"), None)


def test_a_memory_that_cannot_be_written_is_a_problem_until_it_can(tmp_path: Path, small: Path) -> None:
    box = BoxUnderTest.make(tmp_path, box={"state_dir": small / "state"})
    (box.source / "letter").write_text("kept")
    box.set_up()
    with box.serving() as served:
        assert problem(served) is None
        filler = fill_up(small)
        with served.client() as client, pytest.raises(KurabakoError) as refused:
            for _ in range(1000):  # the journal has some room of its own
                client.ask("set_policy", {"id": box.source_id, "name": "exclude", "words": [os.urandom(2000).hex()]})
        assert refused.value.code == "state.failed"
        assert "cannot be used" in str(refused.value.what)
        assert "memory" in box.run("backup").err
        found = eventually(lambda: problem(served), "the status tells of it")
        assert found["severity"] == "attention" and found["todo"]
        assert served.process.poll() is None

        filler.unlink()
        assert box.run("backup").code == 0
        eventually(lambda: problem(served) is None, "it is forgotten once there is room")
    assert "Traceback" not in box.log()
