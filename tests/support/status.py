"""Statuses for tests: hypothesis strategies over the whole model, and one box as a customer might have it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from appliance.status.compose import compose
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
TOKYO = timezone(timedelta(hours=9))

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
    return Status("box", "0.1.0", state, Text(reason), NOW, NOW, **changes)  # type: ignore[arg-type]


def sample_status() -> Status:
    """A box in an office on a busy morning: two jobs run, one source is away, the contract is nearly used up."""
    office, books, design = "smb://nas1/soumu", "folder:/srv/keiri", "disk:by-uuid/6f1c"
    cloud = "s3:https://s3.example.jp/kurabako-00417/office"

    def ran(number: int, kind: JobKind, subject: str, hours: float, minutes: int, size: int, summary: str, **values: object) -> JobResult:  # noqa: E501
        ended = NOW - timedelta(hours=hours)
        outcome = values.pop("outcome", Outcome.DONE)
        return JobResult(str(number), kind, subject, ended - timedelta(minutes=minutes), ended, outcome, Text(summary, values), size)  # type: ignore[arg-type]  # noqa: E501

    return compose(
        Facts(
            box="本社 2 階の蔵箱",
            version="0.1.0",
            started_at=NOW - timedelta(days=41, hours=3),
            jobs=(
                JobStatus(
                    "81",
                    JobKind.BACKUP,
                    office,
                    NOW - timedelta(minutes=9),
                    Progress(
                        Text("Backing up"),
                        bytes_done=48_213_442_816,
                        bytes_total=73_402_118_144,
                        files_done=21_840,
                        files_total=34_112,
                        item="見積書/2026年度/株式会社青葉商事 様/御見積書（第3版）.xlsx",
                    ),
                    rate=91_400_000.0,
                    eta_seconds=276,
                ),
                JobStatus(
                    "82",
                    JobKind.REPLICATE,
                    "cloud",
                    NOW - timedelta(minutes=31),
                    Progress(Text("Sending packs"), bytes_done=6_812_000_000, bytes_total=9_204_551_680),
                    rate=4_310_000.0,
                    eta_seconds=555,
                ),
            ),
            results=(
                ran(80, JobKind.BACKUP, books, 0.6, 4, 1_204_118_528, "Done."),
                ran(79, JobKind.CHECK, "vault", 4.2, 38, 402_118_551_040, "Done."),
                ran(78, JobKind.BACKUP, design, 31, 52, 88_251_400_192, "Done.", outcome=Outcome.PARTIAL),
                ran(77, JobKind.BACKUP, office, 24.1, 14, 5_310_442_240, "Done."),
                ran(76, JobKind.REPLICATE, "cloud", 24.9, 96, 12_551_040_118, "Done."),
            ),
            sources=(
                SourceStatus(office, "smb", "総務部の共有フォルダー", True, True, last_backup_at=NOW - timedelta(hours=24.1), last_outcome=Outcome.DONE),  # noqa: E501
                SourceStatus(books, "folder", "経理データ", True, True, last_backup_at=NOW - timedelta(hours=0.6), last_outcome=Outcome.DONE),  # noqa: E501
                SourceStatus(design, "disk", "設計部 外付けディスク", False, True, removable=True, size_bytes=4_000_787_030_016, last_backup_at=NOW - timedelta(hours=31), last_outcome=Outcome.PARTIAL),  # noqa: E501
                SourceStatus("disk:by-uuid/1A2B-3C4D", "disk", "USB メモリー（KIOXIA TransMemory）", True, False, removable=True, size_bytes=31_042_043_904),  # noqa: E501
            ),
            vault=PlaceStatus("/srv/vault", True, NOW, 441_870_113_792, 214),
            cloud=PlaceStatus(cloud, True, NOW - timedelta(seconds=20), 421_806_551_040, 211),
            capacity=CapacityStatus(500_000_000_000, 421_806_551_040, 5_000_000_000, NOW),
            plugins=(
                PluginStatus("folder", "kurabako", "0.1.0", "active", None, ("storages", "discover_sources", "open_source")),
                PluginStatus("smb", "kurabako", "0.1.0", "active", None, ("discover_sources", "open_source", "checks")),
                PluginStatus("leds", "kurabako", "0.1.0", "active", None, ("settings_sections", "status_outputs")),
            ),
            overdue_after=timedelta(hours=48),
            next_run_at=NOW + timedelta(hours=7, minutes=19),
            page_urls=("http://192.168.10.20:8080/",),
            zone=TOKYO,
        ),
        NOW,
    )
