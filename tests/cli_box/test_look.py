"""`kurabako snapshots` and `ls`: what people are shown, and in which time."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.support.daemon import BoxUnderTest

pytestmark = pytest.mark.slow

NOON = datetime(2024, 2, 29, 3, 0, 0, tzinfo=UTC).timestamp()
"""Noon in Japan."""


@pytest.fixture
def box(tmp_path: Path) -> BoxUnderTest:
    """A box in Japan on a machine whose clock shows another time."""
    box = BoxUnderTest.make(tmp_path)
    box.tables["box"]["timezone"] = "Asia/Tokyo"
    box.write()
    return box


def test_times_are_those_of_the_boxs_zone(box: BoxUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    (box.source / "noon.txt").write_text("noon")
    os.utime(box.source / "noon.txt", (NOON, NOON))
    box.set_up()
    assert box.run("backup").code == 0
    taken = datetime.fromisoformat(box.json("snapshots")[0]["time"][:19] + "+00:00").timestamp()
    assert abs(taken - datetime.now(UTC).timestamp()) < 600, "snapshots are stored in UTC"
    clock = datetime.fromtimestamp(taken, tz=UTC).astimezone(ZoneInfo("Asia/Tokyo")).strftime("%Y-%m-%d %H:%M")
    assert clock in box.run("snapshots").out
    assert "2024-02-29 12:00:00" in box.run("ls", "latest", "--long").out


def test_a_name_neither_breaks_a_line_nor_steers_the_terminal(box: BoxUnderTest) -> None:
    hostile = "in\nvoice\x1b[2J\u202etxt.exe"
    (box.source / hostile).write_text("x")
    box.set_up()
    assert box.run("backup").code == 0
    out = box.run("ls").out
    assert out.splitlines()[-1].endswith(r"/in\nvoice\x1b[2J\u202etxt.exe")
    assert "\x1b" not in out
    assert box.json("ls")["nodes"][-1]["name"] == hostile, "a program is told the name as it is"
