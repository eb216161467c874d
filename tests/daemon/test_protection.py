"""A box whose cloud has Object Lock: its jobs protect, its commands say so, and an attacker destroys nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.protection.places import LockedCloud
from tests.support.daemon import BoxUnderTest, Ran, fill
from tests.support.s3 import S3Server, moto_s3

__all__ = ["moto_s3"]

pytestmark = pytest.mark.slow


class Box(BoxUnderTest):
    """Does its commands in the test's process."""

    def run(self, *words: str, **_: Any) -> Ran:
        return self.run_here(*words)


@pytest.fixture
def cloud(moto_s3: S3Server) -> LockedCloud:
    return LockedCloud(moto_s3)


@pytest.fixture
def box(tmp_path: Path, cloud: LockedCloud) -> BoxUnderTest:
    box = Box.make(tmp_path)
    box.use_cloud(cloud.server, cloud.bucket, object_lock="compliance", object_lock_days=20)
    fill(box.source, files=3, size=50_000)
    return box


def problems(box: BoxUnderTest) -> set[str]:
    return {problem["code"] for problem in box.json("status")["problems"]}


def test_setup_refuses_a_bucket_without_object_lock(box: BoxUnderTest, moto_s3: S3Server) -> None:
    box.use_cloud(moto_s3, object_lock="governance")
    refused = box.json("setup", code=1)["error"]
    assert refused["code"] == "storage.object-lock-off"
    assert not box.vault.exists()
    box.use_cloud(moto_s3)
    assert box.run("setup").code == 0
    assert box.json("protection") == {"protected": False}


def test_what_was_deleted_by_others_comes_back_without_being_sent_again(box: BoxUnderTest, cloud: LockedCloud) -> None:
    box.set_up()
    _, first = box.json("backup")["jobs"]
    told = first["details"]["protection"]
    assert (told["error"], told["extended"], told["deleted_by_others"]) == (None, 0, 0)
    stored = cloud.stored()
    assert first["details"]["capacity"]["used_bytes"] == stored
    assert told["files"] == cloud.attack() == box.json("protection")["files"]
    assert len(box.json("protection")["deleted_by_others"]) == told["files"]

    (second,) = box.json("replicate")["jobs"]
    assert second["details"]["protection"]["brought_back"] == told["files"]
    assert second["details"]["files"] == 0, "nothing was sent"
    assert cloud.stored() == stored == second["details"]["capacity"]["used_bytes"]
    assert "protection.brought-back" in problems(box)
    record = box.folder / "record"
    assert box.run("evidence", "export", str(record)).code == 0
    assert "cloud.brought-back" in record.read_text()
    assert box.json("check", "--cloud", "--read-data")["jobs"][0]["details"]["ok"] is True
    box.json("replicate")
    assert "protection.brought-back" not in problems(box)


def test_what_the_vault_let_go_counts_on_until_its_date(box: BoxUnderTest, cloud: LockedCloud) -> None:
    box.set_up()
    first, _ = box.json("backup")["jobs"]
    fill(box.source, files=3, size=50_000, seed=9)
    box.json("backup")
    stored = cloud.stored()
    box.json("forget", first["details"]["snapshot"], "--prune")
    (job,) = box.json("replicate")["jobs"]
    told = job["details"]
    assert told["deleted"] > 0
    assert told["bytes_freed"] < 1000 < told["protection"]["bytes_waiting"], "nothing but locks went"
    assert told["capacity"]["used_bytes"] == cloud.stored() >= stored
    plan = box.json("protection")
    assert (plan["bytes_waiting"], plan["bytes_free"]) == (told["protection"]["bytes_waiting"], 0)
    assert plan["deleted_by_others"] == []
    assert plan["free_at"] == max(each["until"] for each in plan["waiting"])
    assert not problems(box) & {"protection.tampered", "protection.brought-back", "protection.failed"}
    assert plan["free_at"] <= box.json("prune", "--dry-run")["cloud_free_at"]
    assert plan["free_at"] <= box.json("make-room", "1 kB")["cloud_free_at"]
    said = box.run("protection").out
    assert plan["free_at"][:4] in said


def test_a_box_without_a_vault(box: BoxUnderTest, cloud: LockedCloud) -> None:
    key = box.tables.pop("vault")["password_file"]
    box.tables["cloud"]["password_file"] = key
    box.write()
    box.set_up()
    (first,) = box.json("backup")["jobs"]
    assert first["details"]["protection"]["files"] > 4
    fill(box.source, files=3, size=50_000, seed=9)
    box.json("backup")
    before = cloud.stored()
    (job,) = box.json("forget", first["details"]["snapshot"], "--prune")["jobs"]
    assert job["details"]["packs_deleted"] > 0
    assert job["details"]["bytes_freed"] < 1000
    assert job["details"]["protection"]["bytes_waiting"] > 100_000
    assert box.json("capacity", "--measure")["stored_bytes"] == cloud.stored() >= before
    assert box.json("check", "--read-data")["jobs"][0]["details"]["ok"] is True
    locks = {entry["Key"] for _, entry in cloud.entries() if "/locks/" in entry["Key"]}
    assert len(locks) <= 2, "no more than those of the last job, and of the check after it"
    left = next(entry["Key"] for _, entry in cloud.entries() if entry["IsLatest"] and "/snapshots/" in entry["Key"])
    cloud.s3.delete_object(Bucket=cloud.bucket, Key=left)
    box.json("prune")
    assert "protection.tampered" in problems(box)
