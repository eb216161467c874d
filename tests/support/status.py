"""Statuses for tests: hypothesis strategies over the whole model, and one box as a customer might have it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from appliance.status.facts import Facts
from appliance.status.model import (
    CapacityStatus,
    JobKind,
    JobResult,
    JobStatus,
    Outcome,
    PlaceStatus,
    PluginStatus,
    Problem,
    Progress,
    SourceStatus,
    State,
    Status,
)
from appliance.text import Text

NOW = datetime(2026, 11, 20, 9, 41, tzinfo=UTC)
TOKYO = ZoneInfo("Asia/Tokyo")

moments = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2030, 1, 1), timezones=st.just(UTC))
words = st.text(max_size=12)
sizes = st.integers(0, 2**50)
messages = st.sampled_from(["Done.", "{count} files could not be read.", "{what} with {more}"])
values = st.one_of(words, st.integers(), st.floats(allow_nan=False, allow_infinity=False))
texts = st.recursive(
    st.builds(Text, messages),
    lambda inner: st.builds(
        Text, messages, st.dictionaries(st.sampled_from(["count", "what", "more"]), st.one_of(values, inner))
    ),
    max_leaves=4,
)
st.register_type_strategy(Text, texts)
st.register_type_strategy(datetime, moments)

problems = st.builds(
    Problem, code=st.sampled_from(["a.one", "b.two", "capacity.warning"]), subject=st.sampled_from("xy")
)
progresses = st.builds(Progress, bytes_done=sizes)
jobs = st.builds(JobStatus, progress=progresses, rate=st.floats(0, 1e12))
results = st.builds(JobResult, subject=st.sampled_from(["disk:a", "disk:b"]))
sources = st.builds(SourceStatus, id=st.sampled_from(["disk:a", "disk:b"]))
places = st.builds(PlaceStatus)
capacities = st.builds(
    CapacityStatus,
    capacity_bytes=st.integers(1, 10**12),
    used_bytes=st.integers(0, 10**12),
    reserve_bytes=st.integers(0, 10**9),
    waiting_snapshots=st.integers(0, 3),
    needed_bytes=st.none() | sizes,
    holds=st.booleans(),
    full_on=st.none() | st.dates(),
    apply_by=st.none() | st.dates(),
)
plugins = st.builds(PluginStatus, state=st.sampled_from(["active", "set-aside"]))


def some(items: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(items, max_size=3).map(tuple)


statuses = st.builds(
    Status,
    jobs=some(jobs),
    results=some(results),
    sources=some(sources),
    vault=st.none() | places,
    cloud=st.none() | places,
    capacity=st.none() | capacities,
    problems=some(problems),
    plugins=some(plugins),
    page_urls=some(words),
)

all_facts = st.builds(
    Facts,
    ready=st.booleans(),
    stopping=st.booleans(),
    jobs=some(jobs),
    results=some(results),
    sources=st.lists(sources, max_size=2, unique_by=lambda source: source.id).map(tuple),
    designated_at=st.dictionaries(st.sampled_from(["disk:a", "disk:b"]), moments),
    vault=st.none() | places,
    cloud=st.none() | places,
    capacity=st.none() | capacities,
    plugins=some(plugins),
    problems=some(problems),
    warn_at=st.lists(st.floats(-1, 2), max_size=3).map(tuple),
    overdue_after=st.timedeltas(timedelta(hours=1), timedelta(days=9)),
    zone=st.just(UTC),
    page_urls=some(words),
)


def good_source(**changes: object) -> SourceStatus:
    """A designated folder that was backed up last night."""
    facts: dict[str, object] = {
        "id": "folder:/srv/office",
        "kind": "folder",
        "title": "総務部の共有",
        "present": True,
        "designated": True,
        "last_backup_at": NOW - timedelta(hours=7),
        "last_outcome": Outcome.DONE,
    }
    return SourceStatus(**{**facts, **changes})  # type: ignore[arg-type]


def good_result(**changes: object) -> JobResult:
    """Last night's backup, which went well."""
    facts: dict[str, object] = {
        "id": "1",
        "kind": JobKind.BACKUP,
        "subject": "folder:/srv/office",
        "started_at": NOW - timedelta(hours=8),
        "ended_at": NOW - timedelta(hours=7),
        "outcome": Outcome.DONE,
        "summary": Text("Done."),
        "bytes_done": 1000,
    }
    return JobResult(**{**facts, **changes})  # type: ignore[arg-type]


def good_facts(**changes: object) -> Facts:
    """A box where all is well."""
    facts: dict[str, object] = {
        "box": "蔵箱",
        "version": "0.1.0",
        "started_at": NOW - timedelta(days=30),
        "results": (good_result(),),
        "sources": (good_source(),),
        "vault": PlaceStatus("/srv/vault", True, NOW, 1000, 1),
        "cloud": PlaceStatus("s3:https://s3.example.jp/box", True, NOW, 1000, 1),
        "capacity": CapacityStatus(500_000_000_000, 100_000_000_000, 1_000_000_000, NOW),
        "zone": TOKYO,
    }
    return Facts(**{**facts, **changes})  # type: ignore[arg-type]


def simple_status(state: State = State.IDLE, reason: str = "Done.", **changes: object) -> Status:
    """A Status with nothing but a state and a reason."""
    facts: dict[str, object] = {"at": NOW, "started_at": NOW, **changes}
    return Status("box", "0.1.0", state, Text(reason), **facts)  # type: ignore[arg-type]
