"""What is stored never exceeds the capacity, whatever the line, the provider and the threads do."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from appliance.capacity import CapacityExceeded, GatedStorage, Ledger, Purpose
from appliance.capacity.ledger import DOUBT_SECONDS
from appliance.storage.interface import StorageError, Unreachable
from tests.capacity.places import Fault, FaultyStorage, WatchedStorage


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def gated(place: WatchedStorage, capacity: int | None, reserve: int = 0, clock: Clock | None = None) -> GatedStorage:
    ledger = Ledger.measure(place, capacity=capacity, reserve=reserve, clock=clock or Clock())
    return GatedStorage(place, ledger)


def test_a_refused_put_sends_nothing() -> None:
    place = WatchedStorage()
    storage = gated(place, 10)
    storage.put("data/a", bytes(6))
    with pytest.raises(CapacityExceeded) as refusal:
        storage.put("data/b", bytes(5))
    assert (refusal.value.needed, refusal.value.left) == (5, 4)
    assert place.puts == ["data/a"]
    storage.put("data/c", bytes(4))
    assert place.total == 10


def test_what_was_there_before_counts_to_the_byte() -> None:
    place = WatchedStorage()
    place.sizes = {"config": 3, "data/a": 40, "other": 7}
    storage = gated(place, 60)
    assert storage.ledger.usage.used == 50
    with pytest.raises(CapacityExceeded):
        storage.put("data/b", bytes(11))
    storage.put("data/b", bytes(10))


def test_upkeep_may_use_the_reserve_and_data_may_not() -> None:
    storage = gated(WatchedStorage(), 100, reserve=20)
    storage.put("data/a", bytes(80))
    with pytest.raises(CapacityExceeded):
        storage.put("data/b", bytes(1))
    storage.put("index/a", bytes(20))
    with pytest.raises(CapacityExceeded):
        storage.put("locks/a", bytes(1))


def test_a_job_may_bring_its_own_rule_of_what_is_upkeep() -> None:
    place = WatchedStorage()
    ledger = Ledger.measure(place, capacity=100, reserve=20)
    GatedStorage(place, ledger).put("data/a", bytes(80))
    GatedStorage(place, ledger, purpose=lambda _: Purpose.UPKEEP).put("data/b", bytes(20))
    assert ledger.usage.left_for_data == 0


def test_a_deleted_object_makes_room_once_it_is_gone() -> None:
    place = FaultyStorage()
    storage = gated(place, 10)
    storage.put("data/a", bytes(10))
    place.faults.append(Fault.LOST)
    with pytest.raises(Unreachable):
        storage.delete("data/a")
    with pytest.raises(CapacityExceeded):
        storage.put("data/b", bytes(1))
    storage.delete("data/a")
    storage.put("data/b", bytes(10))


def test_without_a_capacity_the_usage_is_still_known() -> None:
    storage = gated(WatchedStorage(), None)
    storage.put("data/a", bytes(10))
    assert storage.ledger.usage.used == 10
    assert storage.ledger.usage.left_for_data is None


def test_a_repeated_put_counts_once() -> None:
    place = FaultyStorage()
    storage = gated(place, 10)
    place.faults.append(Fault.LOST)
    with pytest.raises(Unreachable):
        storage.put("data/a", bytes(10))
    storage.put("data/a", bytes(10))
    assert storage.ledger.usage.used == 10
    assert storage.ledger.usage.claimed == 0


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.ANSWER_LOST])
def test_a_put_in_doubt_keeps_its_bytes_until_somebody_looks(fault: Fault) -> None:
    place = FaultyStorage()
    clock = Clock()
    storage = gated(place, 10, clock=clock)
    place.faults.append(fault)
    with pytest.raises(Unreachable):
        storage.put("data/a", bytes(10))
    with pytest.raises(CapacityExceeded):
        storage.put("data/b", bytes(1))
    clock.now += DOUBT_SECONDS
    if fault is Fault.LOST:
        storage.put("data/b", bytes(10))
        assert place.sizes == {"data/b": 10}
    else:
        with pytest.raises(CapacityExceeded):
            storage.put("data/b", bytes(1))
        assert storage.ledger.usage.used == 10


def test_a_request_that_lands_after_its_client_gave_up_does_not_exceed_the_capacity() -> None:
    place = FaultyStorage()
    storage = gated(place, 10)
    place.faults.append(Fault.LATE)
    with pytest.raises(Unreachable):
        storage.put("data/a", bytes(10))
    with pytest.raises(StorageError):
        storage.stat("data/a")
    with pytest.raises(CapacityExceeded):
        storage.put("data/b", bytes(10))
    place.land()
    assert storage.stat("data/a").size == 10
    assert (storage.ledger.usage.used, storage.ledger.usage.claimed) == (10, 0)


def test_an_interrupt_leaves_the_put_in_doubt() -> None:
    class Interrupted(WatchedStorage):
        def put(self, key: str, data: object) -> None:
            raise KeyboardInterrupt

    storage = gated(Interrupted(), 10)
    with pytest.raises(KeyboardInterrupt):
        storage.put("data/a", bytes(10))
    assert storage.ledger.usage.claimed == 10


def test_a_put_that_overtakes_a_delete_of_its_key_stays_counted() -> None:
    class Overtaken(WatchedStorage):
        """Its delete takes effect at once but answers only after another thread has put the key again."""

        def delete(self, key: str) -> None:
            super().delete(key)
            storage.put(key, bytes(10))

    place = Overtaken()
    storage = gated(place, 20)
    storage.put("data/a", bytes(10))
    storage.delete("data/a")
    assert place.total == storage.ledger.usage.used == 10


class AnythingGoesWrong(RuleBasedStateMachine):
    """Random puts, deletes and looks, random faults, requests that land late: never over."""

    def __init__(self) -> None:
        super().__init__()
        self.place = FaultyStorage()
        self.clock = Clock()
        self.storage = gated(self.place, 100, reserve=10, clock=self.clock)

    keys = st.sampled_from([f"{folder}/{name}" for folder in ("data", "index") for name in "abcd"])
    sizes = st.integers(0, 60)

    @rule(fault=st.sampled_from(Fault))
    def next_request_meets(self, fault: Fault) -> None:
        self.place.faults.append(fault)

    @rule(key=keys, size=sizes)
    def put(self, key: str, size: int) -> None:
        try:
            self.storage.put(key, bytes(size))
        except (CapacityExceeded, Unreachable):
            pass

    @rule(key=keys)
    def delete(self, key: str) -> None:
        # What a provider does late to a key whose deletion it has acknowledged is outside of any order.
        if self.storage.ledger.in_doubt(key) or self.place._late:
            return
        try:
            self.storage.delete(key)
        except Unreachable:
            pass

    @rule(key=keys)
    def look(self, key: str) -> None:
        try:
            self.storage.stat(key)
        except StorageError:
            pass

    @rule()
    def late_requests_land(self) -> None:
        self.place.land()

    @rule()
    def a_long_time_passes(self) -> None:
        self.place.land()
        self.clock.now += DOUBT_SECONDS

    @invariant()
    def never_over(self) -> None:
        assert self.place.highest <= 100
        usage = self.storage.ledger.usage
        assert self.place.total <= usage.used + usage.claimed


TestAnythingGoesWrong = AnythingGoesWrong.TestCase
TestAnythingGoesWrong.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("seed", range(5))
def test_many_threads_never_exceed_and_end_exact(seed: int) -> None:
    place = WatchedStorage()
    capacity = 20_000
    storage = gated(place, capacity)
    refused = threading.Event()

    def work(number: int) -> None:
        dice = random.Random(seed * 100 + number)
        for step in range(150):
            # As in a repository, a name stands for one content, and so for one size.
            name = f"data/{number}-{step}" if dice.random() < 0.7 else f"data/shared-{dice.randrange(5)}"
            size = random.Random(name).randrange(300)
            try:
                storage.put(name, bytes(size))
            except CapacityExceeded:
                refused.set()
                storage.delete(f"data/{number}-{dice.randrange(step + 1)}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert refused.is_set()
    assert place.highest <= capacity
    usage = storage.ledger.usage
    assert (usage.used, usage.claimed, usage.objects) == (place.total, 0, len(place.sizes))
