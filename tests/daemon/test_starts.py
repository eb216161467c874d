"""What starts backups by itself: planned times of the box and of single sources, and arrivals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.daemon.starts import Starts
from appliance.policy import KnownSource, Policies, PolicyRules, SourcePolicy
from appliance.sources.interface import FoundSource
from appliance.state import SlotOutcome, State

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def known(name: str, present: bool = True, designated: bool = True, **more: Any) -> KnownSource:
    found = FoundSource(f"disk:{name}", "disk", name, present=present, removable=True, **more)
    return KnownSource(found, NOON if designated else None)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Any]:
    state = State(tmp_path / "state.db")
    rules = [
        {"source": "disk:night*", "schedule": ["23:00"]},
        {"source": "disk:planned*", "start": "schedule"},
        {"source": "disk:comes*", "start": "arrival"},
    ]
    settings = SimpleNamespace(
        schedule=SimpleNamespace(backup=("02:00",), timezone="UTC"), box=SimpleNamespace(timezone="UTC")
    )
    policies = Policies(SourcePolicy(), PolicyRules.model_validate(rules), lambda: state)
    yield SimpleNamespace(state=state, settings=settings, policies=policies)
    state.close()


def planned(starts: Starts, sources: list[KnownSource], now: datetime) -> list[tuple[str, ...]]:
    return [run.sources for run in starts.planned(sources, now)]


def test_each_source_runs_at_its_own_times(box: Any) -> None:
    sources = [known("a"), known("night"), known("comes"), known("off", designated=False), known("away", present=False)]
    starts = Starts(box)
    assert planned(starts, sources, NOON) == []
    assert starts.next_after(NOON) == NOON + timedelta(hours=11)
    assert planned(starts, sources, NOON + timedelta(hours=11)) == [("disk:night",)]
    assert starts.next_after(NOON + timedelta(hours=11)) == NOON + timedelta(hours=14)
    assert planned(starts, sources, NOON + timedelta(hours=14)) == [("disk:a",)]
    assert planned(Starts(box), sources, NOON + timedelta(hours=15)) == [], "nor again after a restart"
    assert [slot.outcome for slot in box.state.slots("backup")] == [SlotOutcome.STARTED]


def test_a_time_without_sources_has_come_all_the_same(box: Any) -> None:
    starts = Starts(box)
    assert planned(starts, [], NOON) == []
    assert planned(starts, [], NOON + timedelta(hours=14)) == [()]


def test_what_comes_is_backed_up_once(box: Any) -> None:
    starts = Starts(box)
    assert starts.arrived([known("a")], ()) == (), "what was there when the box was set up did not come"
    assert starts.arrived([known("a"), known("b")], ()) == ("disk:b",)
    assert starts.arrived([known("a"), known("b")], ()) == ()
    assert starts.arrived([known("a"), known("b", present=False)], ()) == ()
    assert starts.arrived([known("a"), known("b")], ()) == ("disk:b",)
    assert starts.arrived([known("a"), known("b")], {"disk:a"}) == ("disk:a",), "gone and back between two looks"


def test_only_what_is_to_be_backed_up_when_it_comes(box: Any) -> None:
    starts = Starts(box)
    assert starts.arrived([], ()) == ()
    came = [known("planned"), known("off", designated=False), known("broken", collectable=False), known("comes")]
    assert starts.arrived(came, ()) == ("disk:comes",)


def test_a_restart_is_no_arrival_but_what_came_meanwhile_is(box: Any) -> None:
    Starts(box).arrived([known("a")], ())
    assert Starts(box).arrived([known("a"), known("b")], ()) == ("disk:b",)
    assert Starts(box).arrived([known("a"), known("b")], ()) == ()
