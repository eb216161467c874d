"""Policies: which values are possible, where each comes from, and what a person may choose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from appliance.allowed import allowed
from appliance.policy import FIELDS, PRESETS, Origin, Policies, PolicyMistake, PolicyRules, SourcePolicy
from appliance.sources.interface import Entry, EntryType, FoundSource, Medium
from appliance.sources.selection import Selection
from appliance.state import State
from appliance.upkeep.retention import UNLIMITED, Duration, Period

DISK = FoundSource("disk:uuid/6A4B", "disk", "写真 (BUFFALO)", removable=True, medium=Medium.SPINNING)
SHARE = FoundSource("smb://nas/share", "smb", "共有", medium=Medium.NETWORK)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.db", clock=lambda: datetime(2026, 11, 21, tzinfo=UTC))
    yield state
    state.close()


@pytest.fixture
def policies(state: State) -> Callable[..., Policies]:
    def made(default: dict[str, Any] | None = None, rules: list[dict[str, Any]] | None = None) -> Policies:
        return Policies(
            SourcePolicy.model_validate(default or {}), PolicyRules.model_validate(rules or []), lambda: state
        )

    return made


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        SourcePolicy.model_validate(values)
    return str(allowed(caught.value.errors(include_url=False)[0]))


def test_the_values_of_a_policy_that_says_nothing() -> None:
    policy = SourcePolicy()
    assert policy.on_schedule and policy.on_arrival
    assert not policy.retention, "no rule keeps everything"
    assert [policy.readers_for(medium) for medium in (Medium.SPINNING, Medium.SOLID, Medium.NETWORK)] == [1, 2, 8]
    assert SourcePolicy(readers=3).readers_for(Medium.SPINNING) == 3


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"exclude": ["fine", "a[b"]}, '"a[b" is wrong at character 2'),
        ({"include": ["!a"]}, "write it under exclude"),
        ({"presets": ["dust"]}, "temporary, recycle-bins, thumbnails, system"),
        ({"start": "sometimes"}, "write one of 'schedule', 'arrival', 'both'"),
        ({"schedule": ["25:00"]}, "write a time such as 02:00"),
        ({"settle": -1}, "write 0 or more"),
        ({"settle": 4000}, "write 3600 or less"),
        ({"readers": 0}, "write 1 or more"),
        ({"read_limit": "fast"}, "write a size such as"),
        ({"read_limit": 0}, "greater than 0"),
        ({"keep": ["daily"]}, '"daily" is no rule'),
        ({"keep": ["daily 7", "daily 8"]}, "a second time"),
        ({"keep": ["daily 0"]}, "nothing would be kept"),
        ({"keep": ["within never"]}, "is no rule"),
        ({"reread_days": 0}, "write 1 or more"),
    ],
)
def test_a_wrong_value_is_refused_with_the_reason(values: dict[str, Any], said: str) -> None:
    assert said in refusal(values)


def test_retention_is_that_of_upkeep() -> None:
    policy = SourcePolicy(keep=("last 3", "daily 7", "yearly all", "within 30d", "weekly within 1y6m"))
    retention = policy.retention
    assert retention.counts == {Period.LAST: 3, Period.DAILY: 7, Period.YEARLY: UNLIMITED}
    assert retention.within == Duration(days=30)
    assert retention.within_periods == {Period.WEEKLY: Duration(years=1, months=6)}


@pytest.mark.parametrize(
    ("preset", "path"),
    [
        ("temporary", "a/~$決算.xlsx"),
        ("temporary", "x.tmp"),
        ("recycle-bins", "$RECYCLE.BIN/"),
        ("recycle-bins", "share/#recycle/"),
        ("thumbnails", "photos/Thumbs.db"),
        ("thumbnails", "home/me/.cache/thumbnails/"),
        ("system", "System Volume Information/"),
    ],
)
def test_presets_leave_out_what_they_say(preset: str, path: str) -> None:
    *above, name = path.rstrip("/").encode().split(b"/")
    entry = Entry(name, EntryType.DIR if path.endswith("/") else EntryType.FILE)
    assert not Selection(PRESETS[preset].patterns).choose(tuple(above), [entry])
    assert Selection(SourcePolicy(presets=()).excluded).choose(tuple(above), [entry])


def test_what_is_excluded_can_take_a_preset_back() -> None:
    policy = SourcePolicy(presets=("temporary",), exclude=("!ledger.tmp",))
    chosen = Selection(policy.excluded).choose(
        (), [Entry(b"ledger.tmp", EntryType.FILE), Entry(b"x.tmp", EntryType.FILE)]
    )
    assert [entry.name for entry in chosen] == [b"ledger.tmp"]


def test_what_is_nearer_to_a_source_counts(policies: Callable[..., Policies]) -> None:
    box = policies(
        {"settle": 5, "exclude": ["*.iso"]},
        [
            {"source": "disk:*", "start": "arrival", "settle": 6},
            {"source": "写真*", "settle": 7},
            {"source": "smb://nas/[a-z]*", "readers": 4},
        ],
    )
    assert box.choose(DISK, "exclude", ["/raw/", "!*.iso"]).policy.exclude == ("/raw/", "!*.iso")
    resolved = box.resolve(DISK)
    assert (resolved.policy.start, resolved.policy.settle, resolved.policy.readers) == ("arrival", 7, None)
    assert {name: origin for name, origin in resolved.origins.items() if origin is not Origin.DEFAULT} == {
        "start": Origin.RULE,
        "settle": Origin.RULE,
        "exclude": Origin.CHOSEN,
    }
    assert (box.of(SHARE).readers, box.of(SHARE).settle, box.of(SHARE).start) == (4, 5, "both")
    assert box.take_back(DISK, "exclude").policy.exclude == ("*.iso",)


def test_a_choice_is_kept_over_a_restart(policies: Callable[..., Policies]) -> None:
    policies().choose(DISK, "read_limit", ["2 MB"])
    policies().choose(DISK, "on_page", ["false"])
    again = policies({"read_limit": "5 MB"})
    assert again.of(DISK).read_limit == 2_000_000
    assert not again.of(DISK).on_page
    assert again.choose(DISK, "read_limit", ["none"]).policy.read_limit is None, "chosen: no limit"
    assert again.take_back(DISK, "read_limit").policy.read_limit == 5_000_000


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("settling", ["3"], "has no value settling"),
        ("settle", [], "exactly one value"),
        ("settle", ["3", "4"], "exactly one value"),
        ("settle", ["soon"], "settle cannot be soon"),
        ("settle", ["none"], "settle cannot be none"),
        ("exclude", ["a["], "not closed"),
        ("on_page", ["perhaps"], "write true or false"),
    ],
)
def test_a_wrong_choice_changes_nothing(
    policies: Callable[..., Policies], name: str, words: list[str], said: str
) -> None:
    before = policies().resolve(DISK)
    with pytest.raises(PolicyMistake, match=said):
        policies().choose(DISK, name, words)
    assert policies().resolve(DISK) == before


def test_a_choice_that_is_no_longer_possible_is_left_out(policies: Callable[..., Policies], state: State) -> None:
    state.set_value(f"policy:{DISK.id}", {"settle": "soon", "color": "red", "readers": 2})
    resolved = policies().resolve(DISK)
    assert (resolved.policy.settle, resolved.policy.readers) == (0, 2)
    assert set(resolved.origins) == set(FIELDS)
