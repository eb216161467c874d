"""Stock restic before us, after us, and as the judge of what we leave."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from pathlib import Path

import pytest

from appliance.upkeep import PruneLimits, plan_prune
from appliance_folder.storage import FolderStorage
from tests.support.repo_cli import RepoCli, objects
from tests.support.trees import differences
from tests.upkeep.places import fresh

pytestmark = [pytest.mark.needs("restic"), pytest.mark.slow]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def cli(place: Path) -> RepoCli:
    cli = RepoCli(str(place), HOME=str(place.parent))
    cli.ok("init")
    return cli


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "蔵").mkdir(parents=True)
    return tree


def change(tree: Path, day: int) -> None:
    """A third of the files anew, some gone."""
    for number in range(day % 3, 24, 3):
        (tree / "蔵" / str(number)).write_bytes(random.Random(f"{day} {number}").randbytes(60_000))
    (tree / "text").write_text(f"day {day}\n" * 2000)
    (tree / "蔵" / str(day)).unlink(missing_ok=True)


def fill(cli: RepoCli, tree: Path) -> None:
    """Snapshots by both of us in turn."""
    for day in range(6):
        change(tree, day)
        (cli.restic if day % 2 else cli.ok)("backup", tree)


def packs(place: Path) -> int:
    return sum(size for name, size in objects(place / "data").items())


def intact(cli: RepoCli, tree: Path, out: Path) -> None:
    """Both checks are content and the last snapshot is the tree."""
    assert "no errors were found" in cli.restic("check", "--read-data")
    cli.ok("check", "--read-data")
    cli.restic("restore", "latest", "--target", out)
    assert differences(tree, out / tree.relative_to("/")) == []


def clean(place: Path) -> bool:
    plan = plan_prune(fresh(FolderStorage(place)), PruneLimits(max_unused=Fraction(0)))
    return plan.nothing_to_do and not plan.blobs_unused


def test_restic_goes_on_after_our_prune(cli: RepoCli, tree: Path, place: Path, tmp_path: Path) -> None:
    fill(cli, tree)
    said = cli.json("forget", "--group-by", "", "--keep-last", "2", "--prune", "--max-unused", "0%")
    assert len(said["forget"]) == 4
    assert said["prune"]["bytes_after"] == packs(place)
    assert said["prune"]["packs_to_repack"] > 0
    assert said["prune"]["leftovers"] == []
    intact(cli, tree, tmp_path / "out")
    ours = packs(place)
    assert "no errors" in cli.restic("check")
    cli.restic("prune", "--max-unused", "0")
    assert abs(packs(place) - ours) < 500, "restic finds nothing that we left"
    change(tree, 7)
    cli.restic("backup", tree)
    intact(cli, tree, tmp_path / "again")


def test_we_go_on_after_restics_forget_and_prune(cli: RepoCli, tree: Path, place: Path, tmp_path: Path) -> None:
    fill(cli, tree)
    cli.restic("forget", "--group-by", "", "--keep-last", "3", "--prune", "--max-unused", "0")
    theirs = packs(place)
    said = cli.json("prune", "--max-unused", "0%")
    assert said["blobs_unused"] == 0
    assert packs(place) == said["bytes_after"] <= theirs
    cli.ok("forget", "--group-by", "", "--keep-last", "1", "--prune", "--max-unused", "0%")
    assert clean(place)
    intact(cli, tree, tmp_path / "out")


def test_both_leave_about_the_same_size(cli: RepoCli, tree: Path, place: Path, tmp_path: Path) -> None:
    fill(cli, tree)
    twin = tmp_path / "twin"
    for name in objects(place):
        (twin / name).parent.mkdir(parents=True, exist_ok=True)
        (twin / name).write_bytes((place / name).read_bytes())
    other = RepoCli(str(twin), HOME=str(tmp_path))
    cli.ok("forget", "--group-by", "", "--keep-last", "2", "--prune", "--max-unused", "0%")
    other.restic("forget", "--group-by", "", "--keep-last", "2", "--prune", "--max-unused", "0")
    assert abs(packs(place) - packs(twin)) < 0.01 * packs(twin)


def test_both_would_forget_the_same(cli: RepoCli, tree: Path) -> None:
    fill(cli, tree)
    words = ("forget", "--group-by", "paths", "--keep-last", "2", "--keep-hourly", "1", "--dry-run")
    ours = cli.json(*words)
    (theirs,) = json.loads(cli.restic(*words, "--json").splitlines()[0])
    (group,) = ours["groups"]
    for part in ("keep", "remove"):
        assert [each["id"] for each in group[part]] == [each["id"] for each in theirs[part] or []]
    assert [each["matches"] for each in group["reasons"]] == [each["matches"] for each in theirs["reasons"]]
    assert len(ours["unique_bytes"]) == 6
    assert len(cli.json("snapshots")) == 6, "nothing was forgotten"
