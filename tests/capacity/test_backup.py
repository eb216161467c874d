"""A backup straight into a gated place that is too small for it."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.backup import execute_backup, plan_backup
from appliance.capacity import CapacityExceeded, GatedStorage, Ledger, RehearsalStorage
from appliance.repository import Repository
from appliance.repository.check import check
from appliance.sources.local import LocalSource
from tests.capacity.places import WatchedStorage
from tests.support.repository import PASSWORD, new_repository


class WatchedMemory(WatchedStorage):
    """Keeps contents too."""

    def __init__(self) -> None:
        super().__init__()
        self.contents: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> None:
        self.contents[key] = bytes(data)
        super().put(key, data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self.stat(key)
        return self.contents[key][offset : None if length is None else offset + length]


def now() -> datetime:
    return datetime(2026, 11, 20, 2, tzinfo=UTC)


@pytest.fixture
def source(tmp_path: Path) -> LocalSource:
    dice = random.Random(8)
    for number in range(12):
        (tmp_path / f"file{number}").write_bytes(dice.randbytes(700_000))
    return LocalSource(tmp_path)


def back_up(storage: GatedStorage | RehearsalStorage, source: LocalSource) -> None:
    repository = Repository.open(storage, PASSWORD)
    with repository.lock():
        plan = plan_backup(repository, source, hostname="box", now=now)
        execute_backup(repository, plan, source, now=now)


def test_a_rehearsal_tells_what_a_run_stores(source: LocalSource) -> None:
    place = WatchedMemory()
    new_repository(place)
    before = place.total
    rehearsal = RehearsalStorage(place)
    back_up(rehearsal, source)
    assert place.total == before
    back_up(GatedStorage(place, Ledger.measure(place, capacity=None)), source)
    assert abs(place.total - before - rehearsal.bytes_put) < 2000


@pytest.mark.parametrize("room", [0, 500, 4_000_000, 8_400_000, 8_410_000])
def test_it_stops_at_the_limit_and_the_repository_stays_whole(source: LocalSource, room: int) -> None:
    place = WatchedMemory()
    new_repository(place)
    capacity = place.total + room
    gated = GatedStorage(place, Ledger.measure(place, capacity=capacity))
    try:
        back_up(gated, source)
        finished = True
    except CapacityExceeded:
        finished = False
    assert place.highest <= capacity
    assert finished == any(key.startswith("snapshots/") for key in place.sizes)
    assert not any(key.startswith("locks/") for key in place.sizes)
    report = check(Repository.open(place, PASSWORD), read_data=True)
    assert report.errors == []
    usage = gated.ledger.usage
    assert (usage.used, usage.claimed) == (place.total, 0)
