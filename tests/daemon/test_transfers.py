"""Pausing and the kill switch, on a box that replicates over a line that has stalled."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import BoxUnderTest, eventually, fill
from tests.support.s3 import S3Server, moto_s3
from tests.support.stalling import StallingLine

__all__ = ["moto_s3"]

pytestmark = pytest.mark.slow


@pytest.fixture
def line(moto_s3: S3Server) -> Iterator[StallingLine]:
    line = StallingLine(moto_s3)
    yield line
    line.close()


@pytest.fixture
def box(tmp_path: Path, moto_s3: S3Server, line: StallingLine) -> BoxUnderTest:
    box = BoxUnderTest.make(tmp_path)
    box.use_cloud(dataclasses.replace(moto_s3, endpoint=line.endpoint))
    fill(box.source, files=4, size=3_000_000)
    box.set_up()
    return box


def codes(box: BoxUnderTest) -> set[str]:
    return {problem["code"] for problem in box.json("status")["problems"]}


def test_DNT_08_the_kill_switch_breaks_off_what_is_under_way_within_seconds(
    box: BoxUnderTest, line: StallingLine
) -> None:
    box.run("pause")
    with box.serving() as served:
        box.json("backup")
        line.stalls.set()
        assert box.json("resume")["held"]  # which replicates
        eventually(lambda: line.waiting, "a request is under way")
        box.json("stop-transfers")
        stopped = time.time()
        eventually(lambda: len(line.broken) == len(line.waiting), "every connection has ended")
        eventually(lambda: not served.status()["jobs"], "no job runs")
        print(f"connections ended {max(line.broken) - stopped:.2f} s after the command had returned")
        assert max(line.broken) - stopped < 2
        before = len(line.waiting)
        assert box.json("replicate", code=1)["error"]["code"] == "transfers.held"
        assert box.json("check", "--cloud", code=1)["jobs"][0]["error"]["code"] == "transfers.held"
        assert "transfers.stopped" in codes(box)
    line.stalls.clear()
    with box.serving():
        assert "transfers.stopped" in codes(box), "across a restart"
        assert len(line.waiting) == before
        box.json("resume")
        eventually(lambda: box.run("ls", "--from", "cloud").code == 0, "it went on by itself")
        assert "transfers.stopped" not in codes(box)


def test_DNT_08_and_so_is_what_the_service_itself_asks(box: BoxUnderTest, line: StallingLine) -> None:
    line.stalls.set()
    with box.serving():
        eventually(lambda: line.waiting, "the service asks whether the cloud is there")
        box.json("stop-transfers")
        stopped = time.time()
        eventually(lambda: len(line.broken) == len(line.waiting), "every connection has ended")
        assert max(line.broken) - stopped < 2


def test_a_pause_lets_backups_go_on_and_outlives_the_service(box: BoxUnderTest) -> None:
    box.json("pause")
    with box.serving():
        assert [job["kind"] for job in box.json("backup")["jobs"]] == ["backup"]
        assert "transfers.paused" in codes(box)
        assert "一時停止" in box.run("replicate", language="ja_JP.UTF-8").err
        box.json("resume")
        eventually(lambda: box.run("ls", "--from", "cloud").code == 0, "it went on by itself")
        assert box.json("resume") == {"held": False}
        assert box.run("pause", "--until", "yesterday").code == 2
