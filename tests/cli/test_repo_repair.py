"""`kurabako repo repair` as a person calls it, judged by stock restic."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from appliance.errors import ExitCode
from appliance.repository import BlobType
from appliance_folder.storage import FolderStorage
from tests.repair.places import flip, packs_of
from tests.support.repo_cli import RepoCli, objects


@pytest.fixture
def places(tmp_path: Path) -> tuple[RepoCli, Path, Path]:
    """A repository, its folder, and the folder of its copy."""
    place, copy, source = tmp_path / "repository", tmp_path / "copy", tmp_path / "source"
    cli = RepoCli(str(place))
    cli.ok("init")
    source.mkdir()
    for number in range(4):
        (source / f"書類{number}").write_bytes(random.Random(number).randbytes(30_000))
    cli.ok("backup", source)
    shutil.copytree(place, copy)
    return cli, place, copy


@pytest.mark.needs("restic")
def test_repair_from_a_copy(places: tuple[RepoCli, Path, Path]) -> None:
    cli, place, copy = places
    whole = objects(place)
    storage = FolderStorage(place)
    flip(storage, packs_of(storage, BlobType.DATA)[0], 500)
    storage.delete("config")
    before = objects(place)

    shown = cli.run("repair", "--from", copy, "--read-data", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "2 damages" in shown.stdout
    assert "config: It is missing or damaged. (taken from the other copy)" in shown.stderr
    assert objects(place) == before

    document = cli.json("repair", "--from", copy, "--read-data")
    assert {one["kind"] for one in document["damages"]} == {"config-damaged", "pack-damaged"}
    assert (document["unrepaired"], document["files_copied"]) == (0, 1)
    assert objects(place) == whole
    assert "no errors were found" in cli.restic("check", "--read-data")
    assert "Nothing in" in cli.ok("repair", "--from", copy, "--read-data")


@pytest.mark.needs("restic")
def test_what_nobody_has_is_named_and_a_backup_brings_it_back(
    places: tuple[RepoCli, Path, Path], tmp_path: Path
) -> None:
    cli, place, _ = places
    storage = FolderStorage(place)
    storage.delete(packs_of(storage, BlobType.DATA)[0])
    result = cli.run("repair")
    assert result.returncode == ExitCode.PARTIAL
    assert f"{tmp_path}/source/書類0" in result.stderr
    assert "1 snapshots lack 4 paths" in result.stdout
    cli.ok("backup", tmp_path / "source")
    assert "no errors were found" in cli.restic("check", "--read-data")
    assert cli.json("repair")["incomplete"] == []


def test_a_lost_config_without_a_copy(places: tuple[RepoCli, Path, Path]) -> None:
    cli, place, _ = places
    (place / "config").unlink()
    code, error = cli.error("repair")
    assert (code, error["code"]) == (ExitCode.FAILED, "repair.cannot-open")
    assert "--renew-config" in error["todo"]
    cli.ok("repair", "--renew-config")
    assert len(cli.json("snapshots")) == 1


def test_a_place_that_is_no_copy_and_one_that_is_empty(places: tuple[RepoCli, Path, Path], tmp_path: Path) -> None:
    cli, place, _ = places
    other = RepoCli(str(tmp_path / "other"))
    other.ok("init")
    before = objects(place)
    assert cli.error("repair", "--from", tmp_path / "other")[1]["code"] == "repair.not-a-copy"
    (tmp_path / "empty").mkdir()
    assert RepoCli(str(tmp_path / "empty")).error("repair")[1]["code"] == "repository.not-found"
    assert objects(place) == before
