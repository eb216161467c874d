"""A box without a vault: backups go straight to the cloud, through the capacity gate."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import BoxUnderTest, fill
from tests.support.s3 import S3Server, moto_s3

__all__ = ["moto_s3"]

pytestmark = pytest.mark.slow


@pytest.fixture
def box(tmp_path: Path, moto_s3: S3Server) -> BoxUnderTest:
    box = BoxUnderTest.make(tmp_path)
    key = box.tables.pop("vault")["password_file"]
    box.use_cloud(moto_s3, password_file=key)
    box.tables["contract"] = {"capacity": "2 MB", "reserve": "100 kB"}
    box.write()
    fill(box.source, files=5, size=200_000)
    return box


def _stored(box: BoxUnderTest, server: S3Server) -> dict[str, int]:
    """The objects in the box's bucket with their sizes, as the server itself tells."""
    bucket = box.tables["cloud"]["url"].rpartition("/")[0].rpartition("/")[2]
    listed = server.client().list_objects_v2(Bucket=bucket).get("Contents", [])
    return {one["Key"]: one["Size"] for one in listed}


@pytest.mark.needs("restic")
@pytest.mark.parametrize("by", ["the daemon", "the command itself"])
def test_backups_go_straight_to_the_cloud_and_never_beyond_the_capacity(
    box: BoxUnderTest,
    moto_s3: S3Server,
    by: str,
) -> None:
    box.set_up()
    if by == "the daemon":
        with box.serving() as served:
            _to_the_brim(box, moto_s3)
            status = served.status()
            assert status["vault"] is None
            assert status["cloud"]["snapshots"] == 1
    else:
        _to_the_brim(box, moto_s3)
    restic = _restic(box, moto_s3, "check", "--read-data")
    assert restic.returncode == 0, restic.stderr
    assert _restic(box, moto_s3, "restore", "latest", "--target", str(box.folder / "theirs")).returncode == 0
    fill(box.folder / "expected", files=5, size=200_000)
    below = box.folder / "theirs" / str(box.source).lstrip("/")
    subprocess.run(["diff", "-r", str(box.folder / "expected"), str(below)], check=True)


def _to_the_brim(box: BoxUnderTest, server: S3Server) -> None:
    """A backup that fits, one that does not, and everything that must still work on the full box."""
    (backup,) = box.json("backup")["jobs"]
    assert backup["outcome"] == "done"
    before = _stored(box, server)
    capacity = box.json("capacity", "--measure")
    assert capacity["used_bytes"] == sum(before.values()) < 2_000_000

    fill(box.source, files=9, size=500_000, seed=8)
    (refused,) = box.json("backup", code=28)["jobs"]
    assert refused["outcome"] == "refused"
    assert refused["error"]["code"] == "capacity.exceeded"
    left = capacity["left_bytes"]
    assert f"{left:,}" in refused["error"]["what"] or str(left) in refused["error"]["what"]
    assert _stored(box, server) == before, "refused before its first byte, and nothing is left behind"

    (nothing,) = box.json("replicate")["jobs"]
    assert nothing["outcome"] == "done"
    assert [one["id"] for one in box.json("snapshots")] == [backup["details"]["snapshot"]]
    assert box.json("check", "--read-data")["jobs"][0]["details"]["ok"] is True
    assert box.run("restore", "latest", "--target", str(box.folder / "ours")).code == 0
    assert len(list((box.folder / "ours").rglob("*.bin"))) == 5


def _restic(box: BoxUnderTest, server: S3Server, *words: str) -> Any:
    return subprocess.run(
        ["restic", "--no-cache", "--password-file", str(box.tables["cloud"]["password_file"]), *words],
        env={
            **os.environ,
            "RESTIC_REPOSITORY": box.tables["cloud"]["url"],
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_DEFAULT_REGION": server.region,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_cloud_that_does_not_answer_is_said_and_nothing_else_is_tried(box: BoxUnderTest) -> None:
    box.set_up()
    box.tables["cloud"]["url"] = "s3:http://127.0.0.1:1/bucket/box"
    box.write()
    job = box.json("backup", code=1)["jobs"][0]
    assert job["error"]["code"] == "storage.unreachable"
    assert job["error"]["todo"]
