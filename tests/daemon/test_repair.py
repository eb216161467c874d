"""`kurabako repair`: the cloud heals the vault, the vault heals the cloud, through the gate."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ExitCode
from appliance.repository import BlobType
from appliance_folder.storage import FolderStorage
from tests.repair.places import flip, packs_of
from tests.support.daemon import BoxUnderTest, fill
from tests.support.repo_cli import PASSWORD, objects

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def box(tmp_path: Path) -> BoxUnderTest:
    """A box whose cloud is a folder, with a backup in both places."""
    box = BoxUnderTest.make(tmp_path)
    cloud = tmp_path / "cloud"
    cloud.mkdir()
    box.tables["cloud"] = {"url": str(cloud)}
    box.tables["contract"] = {"capacity": "1 MB", "reserve": "200 kB"}
    box.write()
    password = tmp_path / "secrets" / "password"
    password.parent.mkdir(mode=0o700)
    password.write_text(PASSWORD)
    password.chmod(0o600)
    fill(box.source, files=6, size=50_000)
    box.set_up()
    box.json("backup")
    return box


def damage(folder: Path) -> dict[str, int]:
    """One pack of data is damaged, the trees are gone; what was there before."""
    whole = objects(folder)
    for key in packs_of(FolderStorage(folder), BlobType.TREE):
        (folder / key).unlink()
    for index in (folder / "index").iterdir():
        flip(FolderStorage(folder), f"index/{index.name}", 50)
    return whole


def repaired(box: BoxUnderTest, *words: str, code: int = 0) -> Any:
    return box.json("repair", *words, code=code)["jobs"][0]


@pytest.mark.parametrize("by", ["the daemon", "the command itself"])
def test_the_vault_from_the_cloud_and_the_reverse(box: BoxUnderTest, tmp_path: Path, by: str) -> None:
    def both() -> None:
        for folder, words in ((box.vault, ()), (tmp_path / "cloud", ("--cloud",))):
            whole = damage(folder)
            hurt = objects(folder)
            assert repaired(box, *words, "--dry-run")["details"]["damages_count"] == 2
            assert objects(folder) == hurt
            job = repaired(box, *words)
            assert (job["kind"], job["outcome"], job["subject"]) == ("repair", "done", "cloud" if words else "vault")
            assert objects(folder) == whole
            assert box.run("check", "--read-data", *words).code == 0

    if by == "the daemon":
        with box.serving():
            both()
    else:
        both()


def test_the_cloud_is_healed_from_the_reserve_and_never_beyond_the_contract(box: BoxUnderTest, tmp_path: Path) -> None:
    cloud = tmp_path / "cloud"
    damage(cloud)
    left = sum(objects(cloud).values())
    box.tables["contract"] = {"capacity": f"{left + 500} B", "reserve": "0 B"}
    box.write()
    before = objects(cloud)
    job = repaired(box, "--cloud", code=int(ExitCode.CAPACITY_REFUSED))
    assert job["error"]["code"] == "capacity.exceeded"
    assert objects(cloud) == before
    box.tables["contract"] = {"capacity": f"{left + 100_000} B", "reserve": "100 kB"}
    box.write()
    assert repaired(box, "--cloud")["outcome"] == "done"
    assert box.run("check", "--read-data", "--cloud").code == 0


def test_what_no_place_has_is_a_problem_until_it_is_stored_again(box: BoxUnderTest, tmp_path: Path) -> None:
    for folder in (box.vault, tmp_path / "cloud"):
        for key in packs_of(FolderStorage(folder), BlobType.DATA):
            (folder / key).unlink()
    job = repaired(box, code=int(ExitCode.PARTIAL))
    assert job["details"]["incomplete"][0]["count"] == 6
    with box.serving() as served:
        assert "repair.partial" in {problem["code"] for problem in served.status()["problems"]}
        box.json("backup")
        assert repaired(box)["outcome"] == "done"
        assert "repair.partial" not in {problem["code"] for problem in served.status()["problems"]}
    assert box.run("check", "--read-data").code == 0


def test_a_vault_that_is_empty_is_not_repaired_by_chance(box: BoxUnderTest) -> None:
    shutil.rmtree(box.vault)
    box.vault.mkdir()
    assert repaired(box, code=int(ExitCode.FAILED))["error"]["code"] == "repository.not-found"
    assert not objects(box.vault)


def test_a_snapshot_that_the_vault_lost_comes_back_and_one_that_was_forgotten_does_not(
    box: BoxUnderTest, tmp_path: Path
) -> None:
    fill(box.source, files=1, size=30_000, seed=8)
    box.json("backup")
    lost, forgotten = sorted(one["id"] for one in box.json("snapshots"))
    (box.vault / "snapshots" / lost).unlink()
    assert box.json("forget", forgotten)["jobs"][0]["outcome"] == "done"
    assert {path.name for path in (tmp_path / "cloud" / "snapshots").iterdir()} == {lost, forgotten}
    job = repaired(box)
    assert [(one["kind"], one["name"]) for one in job["details"]["damages"]] == [
        ("snapshot-missing", f"snapshots/{lost}")
    ]
    assert {path.name for path in (box.vault / "snapshots").iterdir()} == {lost}
