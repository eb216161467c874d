"""The hold on transfers: remembered, heeded by every request, and stronger the more it is meant."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.state import State
from appliance.storage import MemoryStorage, ThrottledStorage
from appliance.storage.interface import Storage
from appliance.transfers import HoldWatch, Line, Mode, SwitchedStorage, Transfers, TransfersHeld
from tests.storage.conformance import StorageConformance

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.db")
    yield state
    state.close()


class TestSwitchedConforms(StorageConformance):
    @pytest.fixture
    def storage(self) -> Storage:
        return SwitchedStorage(MemoryStorage(), lambda: None, Line())


def test_a_pause_is_remembered_until_it_is_released_or_over(state: State, clock: Clock) -> None:
    kept: list[str] = []
    transfers = Transfers(state, clock, lambda kind, _: kept.append(kind))
    transfers.pause(NOON + timedelta(hours=1))
    again = Transfers(state, clock)
    assert again.hold == transfers.hold
    clock.now += timedelta(hours=1)
    assert again.hold is None
    assert again.is_over
    assert transfers.release()
    assert not transfers.release()
    assert kept == ["transfers.paused", "transfers.resumed"]


def test_a_pause_does_not_weaken_a_stop(state: State, clock: Clock) -> None:
    transfers = Transfers(state, clock)
    transfers.stop()
    transfers.pause(NOON + timedelta(hours=1))
    clock.now += timedelta(days=400)
    assert transfers.hold is not None
    assert transfers.hold.mode is Mode.STOPPED
    with pytest.raises(TransfersHeld, match="stopped"):
        transfers.require(Mode.STOPPED)


def test_every_request_asks_the_switch(state: State, clock: Clock) -> None:
    transfers = Transfers(state, clock)
    memory = MemoryStorage()
    memory.put("config", b"x")
    storage = SwitchedStorage(memory, lambda: transfers.require(Mode.STOPPED), Line())
    calls = [
        lambda: storage.put("config", b"y"),
        lambda: storage.get("config"),
        lambda: storage.stat("config"),
        lambda: list(storage.list()),
        lambda: storage.delete("config"),
    ]
    transfers.stop()
    for call in calls:
        with pytest.raises(TransfersHeld):
            call()
    assert memory.get("config") == b"x"
    transfers.release()
    for call in calls:
        call()


def test_a_limit_that_changes_is_followed_within_one_object() -> None:
    """At 100 bytes a second half of it; then the window ends, and the rest goes at once."""
    now = 0.0
    sent: list[tuple[float, int]] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    class Piecewise(MemoryStorage):
        def put_in_pieces(self, key: str, data: object, before: object) -> None:
            for _ in range(10):
                before(100)  # type: ignore[operator]
                sent.append((now, 100))

    storage = ThrottledStorage(
        Piecewise(), upload_limit=lambda: 100 if now < 4 else None, clock=lambda: now, sleep=sleep
    )
    storage.put("config", bytes(1000))
    assert [moment for moment, _ in sent[:5]] == pytest.approx([0, 1, 2, 3, 4])
    assert {moment for moment, _ in sent[5:]} == {sent[4][0]}


def test_a_rate_that_falls_while_somebody_waits_holds_for_the_rest_of_the_wait() -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    storage = ThrottledStorage(
        MemoryStorage(), upload_limit=lambda: 1000 if now < 1 else 10, clock=lambda: now, sleep=sleep
    )
    storage.put("config", bytes(2100))  # 1000 at once, 1000 in the first second, 100 at ten a second
    assert now == pytest.approx(11, abs=1)


def test_a_stop_ends_what_does_not_end_by_itself(state: State, clock: Clock) -> None:
    transfers = Transfers(state, clock)
    ended = threading.Event()
    with HoldWatch(transfers, (Mode.PAUSED, Mode.STOPPED), ended.set, every=0.01, grace=0.01) as watch:
        assert not watch.held()
        transfers.pause()
        while not watch.held():
            pass
        assert not ended.is_set()
        transfers.stop()
        assert ended.wait(30)
