from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.storage import (
    Counts,
    MemoryStorage,
    MeteredStorage,
    RetryingStorage,
    RetryPolicy,
    StorageWrapper,
    ThrottledStorage,
    TokenBucket,
)
from appliance.storage.interface import ObjectNotFound, Storage, Unreachable
from appliance.text import T
from tests.storage.conformance import CONFIG, PACK, StorageConformance
from tests.storage.faulty import FaultyStorage, passing

LIMIT = 10**9


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


class TestWrappersConform(StorageConformance):
    @pytest.fixture(
        params=[
            StorageWrapper,
            MeteredStorage,
            RetryingStorage,
            lambda inner: ThrottledStorage(inner, upload_limit=LIMIT, download_limit=LIMIT),
            lambda inner: RetryingStorage(MeteredStorage(ThrottledStorage(inner))),
        ],
        ids=["plain", "metered", "retrying", "throttled", "all"],
    )
    def storage(self, request: pytest.FixtureRequest) -> Storage:
        wrap: Callable[[Storage], Storage] = request.param
        return wrap(MemoryStorage())


def retrying(inner: Storage, time: Time, chance: float = 1.0, **policy: float) -> RetryingStorage:
    return RetryingStorage(inner, RetryPolicy(**policy), sleep=time.sleep, random=lambda: chance, clock=time.clock)


CALLS: dict[str, Callable[[Storage], object]] = {
    "put": lambda storage: storage.put(CONFIG, b"x"),
    "get": lambda storage: storage.get(CONFIG),
    "stat": lambda storage: storage.stat(CONFIG),
    "delete": lambda storage: storage.delete(CONFIG),
    "list": lambda storage: list(storage.list()),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
class TestRetrying:
    def faulty(self, *errors: Unreachable) -> FaultyStorage:
        memory = MemoryStorage()
        memory.put(CONFIG, b"x")
        return FaultyStorage(memory, *errors)  # type: ignore[arg-type]

    def test_repeats_until_it_succeeds(self, call: Callable[[Storage], object], time: Time) -> None:
        faulty = self.faulty(passing(), passing(), passing(), passing())  # type: ignore[arg-type]
        call(retrying(faulty, time, first_pause=1, longest_pause=4))
        assert len(faulty.calls) == 5
        assert time.slept == [1, 2, 4, 4]

    def test_the_pause_is_jittered_over_its_whole_length(self, call: Callable[[Storage], object], time: Time) -> None:
        call(retrying(self.faulty(passing(), passing()), time, chance=0.25, first_pause=1))  # type: ignore[arg-type]
        assert time.slept == [0.25, 0.5]

    def test_the_place_may_ask_for_more_patience(self, call: Callable[[Storage], object], time: Time) -> None:
        call(retrying(self.faulty(passing(retry_after=7)), time, first_pause=1))  # type: ignore[arg-type]
        assert time.slept == [7]

    def test_gives_up_in_bounded_time_with_the_last_error(self, call: Callable[[Storage], object], time: Time) -> None:
        errors = [passing() for _ in range(100)]
        faulty = self.faulty(*errors)  # type: ignore[arg-type]
        began = time.now
        with pytest.raises(Unreachable) as caught:
            call(retrying(faulty, time, first_pause=1, longest_pause=10, give_up_after=60))
        assert 50 <= time.now - began <= 60
        assert caught.value is errors[len(faulty.calls) - 1]

    def test_does_not_wait_for_what_comes_too_late(self, call: Callable[[Storage], object], time: Time) -> None:
        with pytest.raises(Unreachable):
            call(retrying(self.faulty(passing(retry_after=3600)), time, give_up_after=60))  # type: ignore[arg-type]
        assert time.slept == []

    def test_does_not_repeat_what_stays_wrong(self, call: Callable[[Storage], object], time: Time) -> None:
        faulty = self.faulty(Unreachable(T("The certificate is wrong.")))
        with pytest.raises(Unreachable):
            call(retrying(faulty, time))
        assert len(faulty.calls) == 1
        assert time.slept == []


def test_a_broken_listing_goes_on_without_repeating_an_object(time: Time) -> None:
    memory = MemoryStorage()
    keys = [f"locks/{n:064x}" for n in range(10)]
    for key in keys:
        memory.put(key, b"x")
    faulty = FaultyStorage(memory, passing(), passing(), list_breaks_after=4)
    assert [info.key for info in retrying(faulty, time).list("locks")] == keys
    assert len(time.slept) == 2


def test_a_listing_that_gets_on_starts_its_patience_anew(time: Time) -> None:
    memory = MemoryStorage()
    for n in range(100):
        memory.put(f"locks/{n:064x}", b"x")

    class OneMoreEachTime(StorageWrapper):
        tries = 0

        def list(self, prefix=""):  # type: ignore[no-untyped-def]
            self.tries += 1
            for n, info in enumerate(self.inner.list(prefix)):
                if n == self.tries:
                    raise passing()
                yield info

    storage = retrying(OneMoreEachTime(memory), time, first_pause=1, give_up_after=5)
    assert len(list(storage.list())) == 100
    assert sum(time.slept) > 5


def test_a_retry_logs_no_more_than_the_error_says(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    retrying(FaultyStorage(MemoryStorage(), passing()), time).put(PACK, b"x")
    assert [record.getMessage() for record in caplog.records if record.name.startswith("appliance.storage")] == [
        f"put {PACK} failed, repeating in 0.5 s: The line is down."
    ]


class TestThrottled:
    def test_a_bucket_keeps_the_rate(self, time: Time) -> None:
        bucket = TokenBucket(1000, 500, clock=time.clock, sleep=time.sleep)
        began = time.now
        for _ in range(50):
            bucket.take(100)
        assert time.now - began == pytest.approx((50 * 100 - 500) / 1000)

    def test_idle_time_saves_up_no_more_than_the_burst(self, time: Time) -> None:
        bucket = TokenBucket(1000, 500, clock=time.clock, sleep=time.sleep)
        time.now += 3600
        bucket.take(500)
        assert time.slept == []
        bucket.take(100)
        assert time.slept == [pytest.approx(0.1)]

    def test_threads_share_the_rate(self) -> None:
        waits: list[float] = []
        bucket = TokenBucket(1000, 0, clock=lambda: 0.0, sleep=waits.append)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(bucket.take, [100] * 20))
        assert sorted(waits) == pytest.approx([n / 10 for n in range(1, 21)])

    def test_uploads_and_downloads_are_held_apart(self, time: Time) -> None:
        storage = ThrottledStorage(
            MemoryStorage(), upload_limit=100, download_limit=1000, clock=time.clock, sleep=time.sleep
        )
        storage.put(PACK, bytes(1100))
        assert time.slept == [pytest.approx(10)]
        storage.get(PACK)
        assert time.slept[1:] == [pytest.approx(0.1)]

    def test_an_upload_waits_before_it_is_sent(self) -> None:
        memory = MemoryStorage()
        there: list[bool] = []
        storage = ThrottledStorage(
            memory, upload_limit=1, clock=lambda: 0.0, sleep=lambda _: there.append(any(memory.list()))
        )
        storage.put(PACK, b"12345")
        assert there == [False]
        assert memory.get(PACK) == b"12345"

    def test_no_limit_never_waits(self, time: Time) -> None:
        storage = ThrottledStorage(MemoryStorage(), clock=time.clock, sleep=time.sleep)
        storage.put(PACK, bytes(10**6))
        storage.get(PACK)
        assert time.slept == []

    def test_a_rate_is_positive(self) -> None:
        with pytest.raises(ValueError, match="positive"):
            TokenBucket(0)


class TestMetered:
    def test_counts_calls_and_bytes(self) -> None:
        storage = MeteredStorage(MemoryStorage())
        storage.put(PACK, memoryview(b"12345"))
        before = storage.counts
        storage.get(PACK, 1, 2)
        storage.stat(PACK)
        assert len(list(storage.list())) == 1
        storage.delete(PACK)
        assert storage.counts == Counts(puts=1, gets=1, stats=1, lists=1, deletes=1, bytes_up=5, bytes_down=2)
        assert storage.counts - before == Counts(gets=1, stats=1, lists=1, deletes=1, bytes_down=2)

    def test_counts_errors(self) -> None:
        storage = MeteredStorage(FaultyStorage(MemoryStorage(), passing(), passing()))
        with pytest.raises(Unreachable):
            storage.put(PACK, b"x")
        with pytest.raises(Unreachable):
            list(storage.list())
        with pytest.raises(ObjectNotFound):
            storage.get(PACK)
        assert storage.counts == Counts(puts=1, lists=1, gets=1, errors=3)

    def test_counts_right_under_many_threads(self) -> None:
        storage = MeteredStorage(MemoryStorage())
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: storage.put(f"data/{n}", b"123"), range(400)))
        assert storage.counts == Counts(puts=400, bytes_up=1200)
