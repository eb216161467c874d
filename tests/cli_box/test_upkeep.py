"""What the box keeps and lets go, through its real commands: policies, plans, prune, and the cloud that follows."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.state import State
from tests.support.daemon import BoxUnderTest, eventually, fill
from tests.support.s3 import S3Server, moto_s3

__all__ = ["moto_s3"]

pytestmark = pytest.mark.slow


@pytest.fixture
def box(tmp_path: Path, moto_s3: S3Server) -> BoxUnderTest:
    """A box with three snapshots in vault and cloud, of which its policy keeps the last."""
    box = BoxUnderTest.make(tmp_path, policy={"keep": ["last 1"]})
    box.use_cloud(moto_s3)
    box.set_up()
    for day in range(3):
        fill(box.source, files=3, size=30_000, seed=day)
        assert box.json("backup")["jobs"][-1]["kind"] == "replicate"
    return box


def cloud_keys(box: BoxUnderTest, server: S3Server) -> set[str]:
    """Keys of the repository's files in the bucket, locks aside."""
    bucket, _, prefix = box.tables["cloud"]["url"].partition(server.endpoint + "/")[2].partition("/")
    listed = server.client().list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    return {one["Key"].removeprefix(f"{prefix}/") for one in listed if "/locks/" not in one["Key"]}


def vault_keys(box: BoxUnderTest) -> set[str]:
    files = (path.relative_to(box.vault) for path in box.vault.rglob("*") if path.is_file())
    return {str(path) for path in files if path.parts[0] != "locks"}


def ids(box: BoxUnderTest, *words: str) -> list[str]:
    return [one["id"] for one in box.json("snapshots", *words)]


def ended(box: BoxUnderTest, *words: str) -> Any:
    (job,) = box.json(*words)["jobs"]
    assert job["outcome"] == "done", job
    return job


@pytest.mark.needs("restic")
def test_the_policy_lets_go_and_the_cloud_follows(box: BoxUnderTest, moto_s3: S3Server) -> None:
    first, second, last = ids(box)
    before = vault_keys(box)
    assert cloud_keys(box, moto_s3) == before

    dry = box.json("forget", "--prune", "--dry-run")
    assert sorted(dry["forget"]) == sorted([first, second])
    assert dry["unique_bytes"][first] > 80_000
    assert dry["prune"]["bytes_freed"] > 160_000
    assert "one of the last" in box.run("forget", "--dry-run").out
    room = box.json("make-room", "100 kB")
    assert [one["id"] for one in room["forget"]] == [first, second]
    assert vault_keys(box) == before
    box.run("sources", "set", box.source_id, "keep", "last 2")
    assert box.json("forget", "--dry-run")["forget"] == [first], "a source may have a policy of its own"
    box.run("sources", "unset", box.source_id, "keep")

    done = ended(box, "forget", "--prune")
    assert sorted(done["details"]["forgotten"]) == sorted([first, second])
    assert done["details"]["bytes_freed"] == dry["prune"]["bytes_freed"]
    assert ids(box) == [last]
    assert len(ids(box, "--from", "cloud")) == 3

    carried = ended(box, "replicate")
    assert carried["details"]["deleted"] > 2
    assert cloud_keys(box, moto_s3) == vault_keys(box)
    assert box.json("capacity", "--measure")["used_bytes"] == carried["details"]["capacity"]["used_bytes"]
    box.json("check", "--read-data")
    box.json("check", "--read-data", "--cloud")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(box.folder),
        "RESTIC_PASSWORD_FILE": str(box.tables["vault"]["password_file"]),
    }
    restic = ["restic", "--no-cache", "-r", str(box.vault), "check", "--read-data"]
    subprocess.run(restic, env=environment, check=True, capture_output=True)
    evidence = [json.loads(line) for line in (box.folder / "state" / "evidence.jsonl").read_text().splitlines()]
    assert any(entry["kind"] == "snapshots.forgotten" for entry in evidence)


def test_what_the_vault_lost_stays_in_the_cloud_and_a_person_is_told(box: BoxUnderTest, moto_s3: S3Server) -> None:
    first, second, _ = ids(box)
    before = cloud_keys(box, moto_s3)
    (box.vault / "snapshots" / first).unlink()
    assert ended(box, "replicate")["details"]["kept_back"]["code"] == "replication.vault-lacks"
    assert cloud_keys(box, moto_s3) == before
    problems = {problem["code"]: problem for problem in box.json("status")["problems"]}
    assert "kurabako forget" in problems["replication.vault-lacks"]["todo"]

    # The person decides, by name; the box prunes, and the trouble is over.
    ended(box, "forget", first, second, "--prune")
    ended(box, "replicate")
    assert cloud_keys(box, moto_s3) == vault_keys(box)
    assert "replication.vault-lacks" not in {problem["code"] for problem in box.json("status")["problems"]}


def test_a_planned_upkeep_runs_and_the_cloud_follows(box: BoxUnderTest, moto_s3: S3Server) -> None:
    """Planned for an hour ago, in a schedule that came into force yesterday."""
    now = datetime.now(UTC)
    planned = f"{now - timedelta(hours=2):%H:%M}"
    box.tables["retention"] = {"at": [planned]}
    box.tables["box"]["timezone"] = "UTC"
    box.write()
    state = State(box.folder / "state" / "state.db")
    in_force = {"schedule": [planned, "UTC"], "since": (now - timedelta(days=1)).isoformat()}
    state.set_value("schedule.in-force.upkeep", in_force)
    state.close()
    with box.serving():
        # The folder is looked at, as a prune at work keeps commands from the repository.
        eventually(lambda: len(list((box.vault / "snapshots").iterdir())) == 1, "the policy was applied")
        eventually(lambda: cloud_keys(box, moto_s3) == vault_keys(box), "the cloud followed")
        ended(box, "prune")
        (refused,) = box.json("forget", "abcdef12", code=1)["jobs"]
        assert refused["error"]["code"] == "repository.snapshot-not-found"


def test_without_a_policy_nothing_ever_goes(tmp_path: Path) -> None:
    box = BoxUnderTest.make(tmp_path)
    box.set_up()
    for day in range(2):
        fill(box.source, files=1, seed=day)
        box.json("backup")
    assert ended(box, "forget")["details"]["forgotten"] == []
    assert len(ids(box)) == 2
