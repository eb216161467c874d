"""`kurabako verify` and `report`: read back, restored for trial, reported, and what damage leads to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ExitCode
from appliance.repository import BlobType
from appliance_folder.storage import FolderStorage
from tests.repair.places import flip, packs_of
from tests.support.daemon import BoxUnderTest, fill
from tests.support.repo_cli import PASSWORD

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def box(tmp_path: Path) -> BoxUnderTest:
    """A box with a backup in its vault and its cloud, which is a folder."""
    box = BoxUnderTest.make(tmp_path, verification={"schedule": [], "every_days": 10, "sample": 3})
    (tmp_path / "cloud").mkdir()
    box.tables["cloud"] = {"url": str(tmp_path / "cloud")}
    box.write()
    password = tmp_path / "secrets" / "password"
    password.parent.mkdir(mode=0o700)
    password.write_text(PASSWORD)
    password.chmod(0o600)
    fill(box.source, files=6, size=50_000)
    box.set_up()
    box.json("backup")
    return box


def verified(box: BoxUnderTest, *words: str, code: int = 0) -> Any:
    return box.json("verify", *words, code=code)["jobs"][0]


def test_a_verification_and_its_report(box: BoxUnderTest, tmp_path: Path) -> None:
    job = verified(box, "--all")
    assert (job["kind"], job["outcome"]) == ("verify", "done")
    details = job["details"]
    assert details["bytes"] == details["total_bytes"] == details["verified_bytes"] > 300_000
    assert {one["found"] for one in details["restored"]} == {"source"}
    assert len(details["restored"]) == 3

    report = box.json("report", "show")
    assert report["damages_count"] == 0
    assert report["place"] == str(tmp_path / "cloud")
    assert report["whole"]["never_verified_bytes"] == report["not_checked"]["bytes"] == 0
    for file in report["restored"]:
        assert file["restored_bytes"] == file["file_bytes"] == os.path.getsize(file["path"])

    exported, key = tmp_path / "report.jws", tmp_path / "key.pem"
    assert box.run("report", "export", str(exported)).code == 0
    key.write_text(box.json("report", "key")["key"])
    assert box.run("report", "verify", str(exported)).code == 0
    other = BoxUnderTest.make(tmp_path / "other")
    assert other.run("report", "verify", str(exported), "--key", str(key)).code == 0
    assert box.json("report", "list")["reports"][0]["ok"] is True
    document = exported.read_text()
    exported.write_text(document.replace(document[300], "A" if document[300] != "A" else "B", 1))
    assert box.json("report", "verify", str(exported), code=1)["error"]["code"] == "report.refused"

    for path in box.source.rglob("*.bin"):
        path.write_bytes(b"other")
    assert {one["found"] for one in verified(box)["details"]["restored"]} == {"record"}

    evidence = [json.loads(line) for line in (tmp_path / "state" / "evidence.jsonl").read_text().splitlines()]
    entries = [one for one in evidence if one["kind"] == "verification"]
    assert len(entries) == 2
    assert str(box.source) not in json.dumps(entries, ensure_ascii=False)


def test_damage_is_found_told_and_repaired(box: BoxUnderTest, tmp_path: Path) -> None:
    cloud = FolderStorage(tmp_path / "cloud")
    flip(cloud, packs_of(cloud, BlobType.DATA)[0], 500)
    job = verified(box, "--all", "--sample", "0", code=int(ExitCode.FAILED))
    assert job["details"]["damages_count"] == 1
    report = box.json("report", "show")
    assert report["damages"][0]["kind"] == "pack-damaged"
    assert report["whole"]["never_verified_bytes"] > 0
    # It is looked at again first, and told until it is repaired, which needs no reading of everything.
    assert verified(box, "--sample", "0", code=int(ExitCode.FAILED))["details"]["damages_count"] == 1
    with box.serving() as served:
        assert "verify.failed" in {problem["code"] for problem in served.status()["problems"]}
        assert box.json("repair", "--cloud")["jobs"][0]["details"]["files_copied"] == 1
        assert verified(box, "--sample", "0")["outcome"] == "done"
        assert "verify.failed" not in {problem["code"] for problem in served.status()["problems"]}


def test_a_box_without_a_cloud_keeps_to_its_traffic_and_tells_when_that_is_too_little(tmp_path: Path) -> None:
    box = BoxUnderTest.make(tmp_path, verification={"schedule": [], "traffic_per_day": "20 kB", "sample": 0})
    fill(box.source, files=6, size=500_000)
    box.set_up()
    box.json("backup")
    details = verified(box)["details"]
    assert details["place"] == str(box.vault)
    assert details["bytes"] < 20_000
    assert details["keeps_up"] is False
    with box.serving() as served:
        assert "verification.behind" in {problem["code"] for problem in served.status()["problems"]}
        assert served.status()["verification"]["verified_bytes"] == details["bytes"]
