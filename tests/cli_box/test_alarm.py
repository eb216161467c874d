"""A box whose source is encrypted overnight: it says so, keeps the older snapshots, and does what a person answers."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.support.daemon import BoxUnderTest

pytestmark = pytest.mark.slow


def test_an_alarm_holds_the_older_snapshots_until_a_person_answers(tmp_path: Path) -> None:
    box = BoxUnderTest.make(tmp_path, policy={"keep": ["last 1"]}, alarm={"least_files": 10})
    for number in range(20):
        (box.source / f"{number}.txt").write_text(f"{number} 議事録 " * 400)
    box.set_up()
    box.json("backup")
    for path in box.source.iterdir():
        path.write_bytes(random.Random(path.name).randbytes(9000))
        path.rename(path.with_name(f"{path.name}.crypt"))
    (job,) = box.json("backup")["jobs"]
    assert job["outcome"] == "done", "the backup itself goes on"
    before, after = [one["id"] for one in box.json("snapshots")]
    assert job["details"]["alarm"] == after[:8]

    (alarm,) = box.json("alarm")["alarms"]
    assert alarm["change"] == {"files": 20, "scrambled": 20, "renamed": 20, "vanished": 0}
    problems = {problem["code"]: problem for problem in box.json("status")["problems"]}
    assert problems["alarm.change"]["severity"] == "attention"
    assert "ランサムウェア" in box.run("alarm", language="ja_JP.UTF-8").out

    assert box.json("forget")["jobs"][0]["details"]["forgotten"] == []
    assert "held by the alarm" in box.run("forget", "--dry-run").out
    (refused,) = box.json("forget", before, code=1)["jobs"]
    assert refused["error"]["code"] == "alarm.holds"
    assert box.json("make-room", "1 MB")["forget"] == []

    assert box.run("alarm", "answer", "nosuch", "harmless").code == 1
    box.json("alarm", "answer", alarm["id"], "attack")
    assert "alarm.change" not in {problem["code"] for problem in box.json("status")["problems"]}
    assert box.json("forget")["jobs"][0]["details"]["forgotten"] == [], "what is from before an attack stays"
    box.json("alarm", "answer", alarm["id"], "harmless")
    assert box.json("forget")["jobs"][0]["details"]["forgotten"] == [before]
    evidence = [json.loads(line)["kind"] for line in (tmp_path / "state" / "evidence.jsonl").read_text().splitlines()]
    assert evidence.count("alarm") == 1
    assert evidence.count("alarm.answered") == 2


def test_an_attack_whose_alarm_was_not_remembered_is_found_by_the_next_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power was cut between the snapshot and its alarm; until it is looked at, the last good one stays."""
    box = BoxUnderTest.make(tmp_path, policy={"keep": ["last 1"]}, alarm={"least_files": 10})
    for number in range(20):
        (box.source / f"{number}.txt").write_text(f"{number} 議事録 " * 400)
    box.set_up()
    box.json("backup")
    (good,) = [one["id"] for one in box.json("snapshots")]
    for path in box.source.iterdir():
        path.write_bytes(random.Random(path.name).randbytes(9000))

    def cut(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as context:
        context.setattr("appliance.daemon.alarms.Alarms.add", cut)
        assert box.run_here("backup").code == 1
    assert len(box.json("snapshots")) == 2 and box.json("alarm")["alarms"] == []
    assert box.json("forget")["jobs"][0]["details"]["forgotten"] == []
    assert "looked at" in box.run("forget", "--dry-run").out

    (job,) = box.json("backup")["jobs"]
    assert job["outcome"] == "done"
    (alarm,) = box.json("alarm")["alarms"]
    assert alarm["change"]["scrambled"] == 20
    assert box.json("forget")["jobs"][0]["details"]["forgotten"] == []
    assert good in [one["id"] for one in box.json("snapshots")]
    box.json("alarm", "answer", alarm["id"], "harmless")
    assert good in box.json("forget")["jobs"][0]["details"]["forgotten"]
    box.json("backup")
    assert len(box.json("alarm")["alarms"]) == 1, "what was looked at is not told again"
