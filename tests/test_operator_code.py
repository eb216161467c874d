"""The operator code: what is kept of it, who knows it, and how often it may be tried."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.daemon.operator import QUEUE, SPACING, TOLD, Operator
from appliance.operator_code import (
    LONGEST_WAIT,
    REMEMBERED,
    Attempts,
    NoOperatorCode,
    OperatorCode,
    TryLater,
    WrongOperatorCode,
)
from appliance.recovery_key import ALPHABET
from appliance.state import State

NOW = datetime(2026, 11, 20, 9, 41, tzinfo=UTC)


class Clock:
    """Seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def recorded() -> list[tuple[str, Mapping[str, Any]]]:
    return []


@pytest.fixture
def codes(tmp_path: Path, recorded: list[tuple[str, Mapping[str, Any]]]) -> OperatorCode:
    state = State(tmp_path / "state" / "state.db", clock=lambda: NOW)
    return OperatorCode(lambda: state, lambda: NOW, lambda *one: recorded.append(one))


def test_a_code_is_random_told_once_and_kept_as_a_hash_that_only_the_owner_can_read(
    codes: OperatorCode, recorded: list[tuple[str, Mapping[str, Any]]], tmp_path: Path
) -> None:
    assert codes.made_at is None
    assert not codes.matches("")
    made = [codes.renew() for _ in range(3)]
    assert len(set(made)) == 3
    assert codes.made_at == NOW
    for code in made:
        assert [len(group) for group in code.split("-")] == [4, 4, 4]
        assert set(code) - {"-"} <= set(ALPHABET)
    assert [codes.matches(code) for code in made] == [False, False, True], "the ones before count no longer"
    assert recorded == [("operator.code-made", {})] * 3
    folder = tmp_path / "state"
    assert folder.stat().st_mode & 0o077 == 0
    for file in folder.iterdir():
        assert file.stat().st_mode & 0o077 == 0
        for code in made:
            assert code.encode() not in file.read_bytes()
            assert code.replace("-", "").encode() not in file.read_bytes()


def test_two_codes_of_the_same_letters_have_other_hashes(tmp_path: Path) -> None:
    state = State(tmp_path / "state.db", clock=lambda: NOW)
    codes, notes, salt = OperatorCode(lambda: state, lambda: NOW, lambda *_: None), [], bytearray(b"s")

    def entropy(count: int) -> bytes:
        salt[0] += 1
        return bytes(8) if count == 8 else bytes(salt) * count

    for _ in range(2):
        assert codes.renew(entropy) == "2222-2222-2222"
        notes.append(json.dumps(state.value("operator.code")))
    assert notes[0] != notes[1]


def test_it_is_taken_as_people_type_it_and_in_no_other_way(codes: OperatorCode) -> None:
    code = codes.renew(lambda count: bytes(range(7, 7 + count)))
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in code)
    for typed in (
        code,
        code.lower(),
        code.replace("-", ""),
        f" {code} ",
        code.replace("-", " "),
        wide,
        code.replace("-", "ー"),
    ):
        assert codes.matches(typed), typed
    for typed in ("", code[:-1], code + "2", code[:-1] + "0", code.replace("-", "1"), "x" * 10_000, "\0", code[::-1]):
        assert not codes.matches(typed), typed


def test_each_wrong_code_makes_its_place_wait_longer_and_no_other() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    waits = []
    for _ in range(12):
        attempts.failed("10.0.0.7")
        waits.append(attempts.wait("10.0.0.7"))
        clock.now += waits[-1]
        assert attempts.wait("10.0.0.7") == 0
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]
    assert attempts.wait("10.0.0.8") == 0
    attempts.succeeded("10.0.0.7")
    attempts.failed("10.0.0.7")
    assert attempts.wait("10.0.0.7") == 1
    clock.now += 3 * LONGEST_WAIT
    attempts.failed("10.0.0.7")
    assert attempts.wait("10.0.0.7") == 1, "it was long ago"


def test_however_many_places_try_so_many_are_remembered() -> None:
    attempts = Attempts(Clock())
    for number in range(3 * REMEMBERED):
        attempts.failed(f"fe80::{number:x}")
    assert sum(attempts.wait(f"fe80::{number:x}") > 0 for number in range(3 * REMEMBERED)) == REMEMBERED


def test_an_operator_needs_the_code_and_a_box_without_one_lets_nobody(
    codes: OperatorCode, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()

    async def story() -> None:
        operator = Operator(codes, lambda: NOW, clock=clock, sleep=clock.sleep)
        with pytest.raises(NoOperatorCode):
            await operator.require("", "a")
        code = codes.renew()
        with pytest.raises(WrongOperatorCode):
            await operator.require("AAAA-AAAA-AAAA", "a")
        for typed in (code, "AAAA-AAAA-AAAA"):
            with pytest.raises(TryLater):
                await operator.require(typed, "a")
        clock.now += 1
        await operator.require(code, "a")
        await operator.require(code, "a")
        assert code not in caplog.text
        assert "AAAA" not in caplog.text
        assert "from a" in caplog.text

    asyncio.run(story())


def test_neither_a_restart_nor_many_places_make_it_faster_than_one_code_in_a_second(codes: OperatorCode) -> None:
    codes.renew()
    clock = Clock()
    began, tried = clock.now, 0

    async def story() -> None:
        nonlocal tried
        for _ in range(3):  # starts
            operator = Operator(codes, lambda: NOW, clock=clock, sleep=clock.sleep)
            for place in range(4):
                with pytest.raises(WrongOperatorCode):
                    await operator.require("AAAA-AAAA-AAAA", f"{place}")
                tried += 1

    asyncio.run(story())
    assert clock.now - began >= tried * SPACING


def test_a_stranger_with_many_places_makes_the_owner_wait_for_a_turn_but_does_not_keep_him_out(
    codes: OperatorCode,
) -> None:
    clock, code = Clock(), codes.renew()

    async def story() -> None:
        operator = Operator(codes, lambda: NOW, clock=clock, sleep=clock.sleep)
        strangers = [asyncio.create_task(operator.require("no", f"stranger {n}")) for n in range(QUEUE - 1)]
        await asyncio.sleep(0)
        before = clock.now
        await operator.require(code, "owner")
        assert clock.now - before <= QUEUE * SPACING
        refusals = await asyncio.gather(*strangers, return_exceptions=True)
        assert {type(one) for one in refusals} == {WrongOperatorCode}
        crowd = [asyncio.create_task(operator.require("no", f"another {n}")) for n in range(3 * QUEUE)]
        refusals = await asyncio.gather(*crowd, return_exceptions=True)
        assert sorted(type(one).__name__ for one in refusals) == [
            *["TryLater"] * (2 * QUEUE), *["WrongOperatorCode"] * QUEUE
        ]  # fmt: skip
        await operator.require(code, "owner")

    asyncio.run(story())


def test_somebody_who_tries_and_tries_is_told_of_until_the_right_code_is_given(codes: OperatorCode) -> None:
    clock, code = Clock(), codes.renew()
    now = [NOW]

    async def story() -> None:
        operator = Operator(codes, lambda: now[0], clock=clock, sleep=clock.sleep)
        for number in range(TOLD):
            assert list(operator.problems(UTC)) == []
            with pytest.raises(WrongOperatorCode):
                await operator.require("AAAA-AAAA-AAAA", f"10.0.0.{number}")
        (problem,) = operator.problems(UTC)
        assert str(problem.what) == (
            "Wrong operator codes were given 10 times, the last on 2026-11-20 09:41 from 10.0.0.9."
        )
        now[0] += timedelta(days=2)
        assert list(operator.problems(UTC)) == []
        now[0] = NOW
        await operator.require(code, "owner")
        assert list(operator.problems(UTC)) == []

    asyncio.run(story())


def test_whoever_goes_away_before_the_answer_has_tried_all_the_same(codes: OperatorCode) -> None:
    codes.renew()
    clock = Clock()

    async def story() -> None:
        operator = Operator(codes, lambda: NOW, clock=clock, sleep=clock.sleep)
        clock.now += SPACING
        task = asyncio.create_task(operator.require("AAAA-AAAA-AAAA", "a"))
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TryLater):
            await operator.require("AAAA-AAAA-AAAA", "a")

    asyncio.run(story())
