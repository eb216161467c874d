"""`kurabako repo backup --capacity`: never over, and refused before the first byte."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from appliance.errors import ExitCode
from tests.support.repo_cli import RepoCli, objects

pytestmark = pytest.mark.needs("restic")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def cli(place: Path) -> RepoCli:
    cli = RepoCli(str(place))
    cli.ok("init")
    return cli


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A megabyte that cannot be compressed and eight that nearly vanish."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "random").write_bytes(random.Random(7).randbytes(1_000_000))
    (source / "zeros").write_bytes(b"the same again\n" * 500_000)
    return source


def stored(place: Path) -> int:
    return sum(objects(place).values())


def test_what_does_not_fit_is_refused_and_nothing_changes(cli: RepoCli, source: Path, place: Path) -> None:
    cli.ok("backup", source, "--exclude", "random")
    before = objects(place)
    capacity = stored(place) + 900_000
    code, error = cli.error("backup", source, "--capacity", str(capacity))
    assert code == ExitCode.CAPACITY_REFUSED == 28
    assert error["code"] == "capacity.exceeded"
    assert "900," in error["what"].replace("899,", "900,")
    assert "Everything already stored" in error["safe"]
    assert objects(place) == before
    said = cli.run("backup", source, "--capacity", str(capacity)).stderr
    assert "bytes" in said
    cli.ok("check", "--read-data")
    cli.restic("check", "--read-data")


def test_what_compresses_well_is_measured_and_let_in(cli: RepoCli, source: Path, place: Path) -> None:
    capacity = stored(place) + 1_100_000
    summary = cli.json("backup", source, "--capacity", str(capacity))
    assert summary["total_bytes_processed"] > 8_000_000
    assert stored(place) <= capacity
    cli.restic("check", "--read-data")


def test_what_is_there_already_needs_no_room(cli: RepoCli, source: Path, place: Path) -> None:
    cli.ok("backup", source)
    summary = cli.json("backup", source, "--capacity", str(stored(place) + 20_000))
    assert summary["files_unmodified"] == 2


def test_a_repository_over_its_capacity_is_not_made_larger(cli: RepoCli, source: Path, place: Path) -> None:
    cli.ok("backup", source)
    before = objects(place)
    code, error = cli.error("backup", source, "--capacity", "1 MB")
    assert (code, error["code"]) == (28, "capacity.exceeded")
    assert objects(place) == before
    cli.ok("check")


def test_room_that_is_plenty_is_not_measured(cli: RepoCli, source: Path, place: Path) -> None:
    cli.ok("backup", source, "--capacity", "1 GB")
    assert stored(place) < 2_000_000


@pytest.mark.parametrize("room", [0, 300, 1_000, 100_000, 1_000_000, 1_010_000, 1_040_000])
def test_whatever_the_room_it_is_never_exceeded(cli: RepoCli, source: Path, place: Path, room: int) -> None:
    capacity = stored(place) + room
    result = cli.run("backup", source, "--capacity", str(capacity), "--json")
    assert stored(place) <= capacity
    assert objects(place / "locks") == {}
    if result.returncode:
        assert result.returncode == ExitCode.CAPACITY_REFUSED
        assert json.loads(result.stdout)["error"]["code"] == "capacity.exceeded"
        assert not (objects(place / "data") or objects(place / "index") or objects(place / "snapshots"))
