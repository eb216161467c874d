"""The rolling plan over simulated years: every byte in time, never above the traffic, and after any loss of memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from appliance.state import PackRecord
from appliance.verification import Rules, age_of, plan_portion

BEGIN = datetime(2026, 4, 1, 11, tzinfo=UTC)
DAY = timedelta(days=1)


def pack(number: int) -> bytes:
    return number.to_bytes(32, "big")


class Place:
    """Packs that come and go, and what a box remembers of them."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.packs: dict[bytes, int] = {}
        self.came: dict[bytes, datetime] = {}
        self.known: dict[bytes, PackRecord] = {}
        self.read: list[int] = []

    def add(self, number: int, size: int, now: datetime) -> None:
        self.packs[pack(number)] = size
        self.came[pack(number)] = now

    def run(self, now: datetime, spent: int = 0) -> None:
        for each in self.packs:
            self.known.setdefault(each, PackRecord(now))
        portion = plan_portion(self.packs, self.known, self.rules, now, spent=spent)
        for each, _ in portion.packs:
            self.known[each] = PackRecord(self.known[each].seen_at, now)
        self.read.append(portion.size)

    def oldest(self, now: datetime) -> timedelta:
        return max((now - (self.known[each].verified_at or self.came[each]) for each in self.packs), default=0 * DAY)


@given(
    every=st.integers(2, 60),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    arrivals=st.lists(st.lists(st.integers(1, 50), max_size=3), min_size=60, max_size=120),
)
def test_every_byte_is_read_in_time(every: int, sizes: list[int], arrivals: list[list[int]]) -> None:
    place = Place(Rules(every * DAY))
    for number, size in enumerate(sizes):
        place.add(number, size, BEGIN)
    number = len(sizes)
    for day, new in enumerate(arrivals):
        now = BEGIN + day * DAY
        for size in new:
            place.add(number, size, now)
            number += 1
        place.run(now)
        assert place.oldest(now) <= every * DAY


def test_the_work_is_spread_over_the_days() -> None:
    place = Place(Rules(30 * DAY))
    for number in range(300):
        place.add(number, 100, BEGIN)
    for day in range(120):
        place.run(BEGIN + day * DAY)
    assert max(place.read) <= 2 * 30_000 // 30
    assert place.oldest(BEGIN + 119 * DAY) <= 30 * DAY


@given(
    limit=st.integers(1, 400),
    spent=st.integers(0, 500),
    sizes=st.lists(st.integers(1, 100), min_size=1, max_size=60),
    days=st.integers(0, 200),
)
def test_never_more_than_the_traffic(limit: int, spent: int, sizes: list[int], days: int) -> None:
    packs = {pack(number): size for number, size in enumerate(sizes)}
    known = {each: PackRecord(BEGIN) for each in packs}
    rules = Rules(30 * DAY, limit)
    portion = plan_portion(packs, known, rules, BEGIN + days * DAY, spent=spent)
    assert portion.size <= max(0, limit - spent)
    assert portion.keeps_up == (portion.per_day <= limit and not portion.overdue)
    assert plan_portion(packs, known, rules, BEGIN, spent=spent, everything=True).size == sum(sizes)


def test_too_little_traffic_is_told_and_the_oldest_go_first() -> None:
    packs = {pack(number): 10 for number in range(10)}
    known = {pack(number): PackRecord(BEGIN, BEGIN + number * DAY) for number in range(10)}
    portion = plan_portion(packs, known, Rules(10 * DAY, 25), BEGIN + 15 * DAY)
    assert [each for each, _ in portion.packs] == [pack(0), pack(1)]
    assert not portion.keeps_up
    assert portion.overdue == 40
    assert plan_portion(packs, known, Rules(10 * DAY, 9), BEGIN).keeps_up is False
    assert plan_portion(packs, {}, Rules(10 * DAY, 10), BEGIN).keeps_up is True


def test_a_damaged_pack_comes_first_every_time() -> None:
    packs = {pack(number): 10 for number in range(10)}
    known = {each: PackRecord(BEGIN, BEGIN) for each in packs} | {pack(7): PackRecord(BEGIN, BEGIN, damaged=True)}
    assert plan_portion(packs, known, Rules(90 * DAY), BEGIN).packs[0] == (pack(7), 10)


def test_a_lost_memory_begins_anew() -> None:
    place = Place(Rules(10 * DAY))
    for number in range(50):
        place.add(number, 10, BEGIN)
    for day in range(5):
        place.run(BEGIN + day * DAY)
    place.known = {}
    place.came = dict.fromkeys(place.packs, BEGIN + 5 * DAY)
    for day in range(5, 40):
        now = BEGIN + day * DAY
        place.run(now)
        assert place.oldest(now) <= 10 * DAY


def test_a_second_run_of_a_day_reads_only_what_is_left() -> None:
    packs = {pack(number): 10 for number in range(90)}
    known = {each: PackRecord(BEGIN) for each in packs}
    first = plan_portion(packs, known, Rules(90 * DAY), BEGIN)
    assert first.size == 20
    assert plan_portion(packs, known, Rules(90 * DAY), BEGIN, spent=first.size).size == 0


def test_age() -> None:
    packs = {pack(0): 1, pack(1): 20, pack(2): 300, pack(3): 4000}
    now = BEGIN + 50 * DAY
    known = {
        pack(0): PackRecord(BEGIN),
        pack(1): PackRecord(BEGIN, now - 40 * DAY),
        pack(2): PackRecord(BEGIN, now - 5 * DAY),
        pack(3): PackRecord(BEGIN, now - DAY, damaged=True),
    }
    age = age_of(packs, known, Rules(30 * DAY), now)
    assert (age.verified, age.never, age.oldest) == (300, 4001, BEGIN)
    assert age_of({}, {}, Rules(), now).oldest is None
