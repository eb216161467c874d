"""Retention: restic's rules to the snapshot, with reasons, and some properties that hold for any policy."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.repository import BlobType, Snapshot, encode_tree, from_datetime, parse_time
from appliance.upkeep import Duration, EmptiesGroup, GroupBy, Period, Policy, Retained, retain
from appliance.upkeep.retention import UNLIMITED
from appliance_folder.storage import FolderStorage
from tests.support.repository import PASSWORD, new_repository

NOW = datetime(2027, 1, 1, tzinfo=UTC)
TOKYO = ZoneInfo("Asia/Tokyo")
TREE = "0" * 64


def at(time: str, *, host: str = "box", path: str = "/share", tags: tuple[str, ...] = ()) -> Snapshot:
    return Snapshot(
        time=time, tree=TREE, paths=[path], hostname=host, tags=list(tags), id=f"{host}{path}{time}{','.join(tags)}"
    )


def kept(snapshots: list[Snapshot], policy: Policy, zone: ZoneInfo | None = None) -> list[str]:
    return [
        snapshot.time
        for each in retain(snapshots, policy, now=NOW, zone=zone, may_empty=True)
        for snapshot, _ in each.keep
    ]


def test_the_newest_of_each_day_stays_and_the_oldest_when_some_are_left() -> None:
    snapshots = [at(f"2026-11-{day:02}T{hour:02}:00:00Z") for day in (1, 2, 3) for hour in (6, 18)]
    policy = Policy({Period.DAILY: 2})
    assert kept(snapshots, policy) == ["2026-11-03T18:00:00Z", "2026-11-02T18:00:00Z"]
    (group,) = retain(snapshots, Policy({Period.DAILY: 4}), now=NOW, zone=UTC)
    assert [snapshot.time[8:13] for snapshot, _ in group.keep] == ["03T18", "02T18", "01T18", "01T06"]
    assert [reason.match for _, reasons in group.keep for reason in reasons] == [
        *["daily snapshot"] * 3,
        "oldest daily snapshot",
    ]
    assert [str(reason.text) for _, reasons in group.keep[2:] for reason in reasons] == [
        "the last of a day",
        "the oldest of all",
    ]


def test_days_begin_where_the_people_are() -> None:
    snapshots = [at("2026-11-02T14:00:00Z"), at("2026-11-02T16:00:00Z"), at("2026-11-03T10:00:00Z")]
    policy = Policy({Period.DAILY: 2})
    assert [each[8:13] for each in kept(snapshots, policy, TOKYO)] == ["03T10", "02T14"]
    assert [each[8:13] for each in kept(snapshots, policy)] == ["03T10", "02T16"]


def test_without_a_zone_the_snapshots_own_clock_counts() -> None:
    snapshots = [at("2026-11-02T23:00:00+09:00"), at("2026-11-03T01:00:00+09:00"), at("2026-11-03T19:00:00+09:00")]
    assert [each[8:13] for each in kept(snapshots, Policy({Period.DAILY: 2}))] == ["03T19", "02T23"]
    snapshots = [at("2026-11-02T20:00:00-05:30"), at("2026-11-02T23:00:00-05:30")]
    assert len(kept(snapshots, Policy({Period.DAILY: 1}))) == 1


def test_weeks_are_those_of_iso() -> None:
    snapshots = [at("2026-12-31T00:00:00Z"), at("2026-12-28T00:00:00Z"), at("2026-12-27T00:00:00Z")]
    assert len(kept(snapshots, Policy({Period.WEEKLY: 2}))) == 2
    assert "2026-12-28T00:00:00Z" not in kept(snapshots, Policy({Period.WEEKLY: 2}))


def test_within_counts_back_from_the_newest_that_is_not_in_the_future() -> None:
    snapshots = [
        at("2029-01-01T00:00:00Z"),
        at("2026-11-10T00:00:00Z"),
        at("2026-11-08T00:00:01Z"),
        at("2026-11-08T00:00:00Z"),
    ]
    assert kept(snapshots, Policy(within=Duration(days=2))) == [each.time for each in snapshots[:3]]


def test_tags_must_all_be_there() -> None:
    snapshots = [at("2026-11-01T00:00:00Z", tags=("a",)), at("2026-11-02T00:00:00Z", tags=("a", "b", "c"))]
    assert kept(snapshots, Policy(tags=(("a", "b"),))) == ["2026-11-02T00:00:00Z"]
    assert len(kept(snapshots, Policy(tags=(("a", "b"), ("a",))))) == 2


def test_groups_have_counts_of_their_own() -> None:
    snapshots = [
        at(f"2026-11-0{day}T00:00:00Z", host=host, path=path)
        for day in (1, 2)
        for host in "ab"
        for path in ("/x", "/y")
    ]
    policy = Policy({Period.LAST: 1})
    assert len(retain(snapshots, policy, now=NOW, zone=UTC)) == 4
    (one,) = retain(snapshots, policy, now=NOW, zone=UTC, by=())
    assert (len(one.keep), len(one.remove)) == (1, 7)
    by_host = retain(snapshots, policy, now=NOW, zone=UTC, by=(GroupBy.HOST,))
    assert [each.key.hostname for each in by_host] == ["a", "b"]
    assert by_host[0].key.paths is None


def test_no_rule_keeps_everything() -> None:
    (group,) = retain([at("2026-11-01T00:00:00Z")], Policy(), now=NOW, zone=UTC)
    assert group.keep[0][1][0].match == "policy is empty"
    assert not Policy(within=Duration())


def test_a_group_is_not_emptied_by_accident() -> None:
    snapshots = [at("2026-11-01T00:00:00Z")]
    policy = Policy(tags=(("never",),))
    with pytest.raises(EmptiesGroup) as raised:
        retain(snapshots, policy, now=NOW, zone=UTC)
    assert "box /share" in str(raised.value)
    (group,) = retain(snapshots, policy, now=NOW, zone=UTC, may_empty=True)
    assert not group.keep


@pytest.mark.parametrize(
    ("text", "parts"),
    [("1y5m7d2h", (1, 5, 7, 2)), ("30d", (0, 0, 30, 0)), ("2y", (2, 0, 0, 0)), ("12h", (0, 0, 0, 12))],
)
def test_durations_are_written_as_restic_writes_them(text: str, parts: tuple[int, ...]) -> None:
    assert Duration.parse(text) == Duration(*parts)
    assert str(Duration.parse(text)) == text


@pytest.mark.parametrize("text", ["", "d", "1", "1w", "2d1y", "-1d", "1.5d", "1dx"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        Duration.parse(text)


def test_durations_follow_the_calendar_as_go_does() -> None:
    march = datetime(2026, 3, 31, 12, tzinfo=UTC)
    assert Duration(months=1).before(march) == datetime(2026, 3, 3, 12, tzinfo=UTC)
    assert Duration(years=1, months=1, days=2, hours=3).before(march) == datetime(2025, 3, 1, 9, tzinfo=UTC)
    assert Duration(years=9999).before(march).year == 1


# --- properties ----------------------------------------------------------------------------------------------

moments = st.datetimes(datetime(2024, 1, 1), datetime(2026, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))
pasts = st.lists(
    st.builds(
        lambda moment, host, tags: at(from_datetime(moment), host=host, tags=tuple(sorted(tags))),
        moments,
        st.sampled_from(["a", "b"]),
        st.sets(st.sampled_from(["x", "y"])),
    ),
    max_size=30,
    unique_by=lambda snapshot: snapshot.id,
)
durations = st.builds(Duration, st.integers(0, 2), st.integers(0, 13), st.integers(0, 40), st.integers(0, 50))
policies = st.builds(
    Policy,
    st.dictionaries(st.sampled_from(Period), st.integers(UNLIMITED, 12)),
    durations,
    st.dictionaries(st.sampled_from([period for period in Period if period is not Period.LAST]), durations),
    st.lists(st.lists(st.sampled_from(["x", "y"]), min_size=1).map(tuple), max_size=2).map(tuple),
)


def names(groups: tuple[Retained, ...]) -> set[str]:
    return {snapshot.id for each in groups for snapshot, _ in each.keep}


@given(pasts, policies)
def test_each_snapshot_is_either_kept_for_a_reason_or_removed(past: list[Snapshot], policy: Policy) -> None:
    groups = retain(past, policy, now=NOW, zone=TOKYO, may_empty=True)
    removed = {snapshot.id for each in groups for snapshot in each.remove}
    assert names(groups) | removed == {snapshot.id for snapshot in past}
    assert not names(groups) & removed
    assert all(reasons for each in groups for _, reasons in each.keep)


@given(pasts, policies)
def test_nothing_is_emptied_unless_asked(past: list[Snapshot], policy: Policy) -> None:
    try:
        groups = retain(past, policy, now=NOW, zone=TOKYO)
    except EmptiesGroup:
        return
    assert {each.key.hostname for each in groups} == {snapshot.hostname for snapshot in past}
    assert all(each.keep for each in groups)


@given(pasts, policies)
def test_a_count_keeps_the_newest(past: list[Snapshot], policy: Policy) -> None:
    if any(policy.counts.values()):
        for each in retain(past, policy, now=NOW, zone=TOKYO):
            assert each.keep[0][0].time_ns >= max((snapshot.time_ns for snapshot in each.remove), default=0)


@given(pasts, policies, policies)
def test_more_rules_keep_no_less(past: list[Snapshot], policy: Policy, other: Policy) -> None:
    def larger(one: int, two: int) -> int:
        return UNLIMITED if UNLIMITED in (one, two) else max(one, two)

    both = Policy(
        {period: larger(policy.counts.get(period, 0), other.counts.get(period, 0)) for period in Period},
        policy.within,
        policy.within_periods,
        policy.tags + other.tags,
    )
    if policy:  # one without rules keeps everything
        less = retain(past, policy, now=NOW, zone=TOKYO, may_empty=True)
        assert names(less) <= names(retain(past, both, now=NOW, zone=TOKYO, may_empty=True))


# --- stock restic ----------------------------------------------------------------------------------------------

POLICIES = [
    ["--keep-last", "3"],
    ["--keep-hourly", "5", "--keep-daily", "7"],
    ["--keep-weekly", "4", "--keep-monthly", "12", "--keep-yearly", "3"],
    ["--keep-daily", "400"],
    ["--keep-within", "1m3d12h"],
    ["--keep-within-daily", "20d", "--keep-within-weekly", "3m", "--keep-last", "1"],
    ["--keep-within-hourly", "4d", "--keep-within-monthly", "1y", "--keep-within-yearly", "3y"],
    ["--keep-tag", "x,y", "--keep-tag", "z", "--keep-last", "1"],
    ["--keep-last", "2", "--group-by", "host"],
    ["--keep-monthly", "2", "--group-by", "tags"],
    ["--keep-last", "4", "--group-by", ""],
]


def policy_of(words: list[str]) -> tuple[Policy, tuple[GroupBy, ...]]:
    counts: dict[Period, int] = {}
    within = Duration()
    periods: dict[Period, Duration] = {}
    tags: list[tuple[str, ...]] = []
    by = (GroupBy.HOST, GroupBy.PATHS)
    for option, value in zip(words[::2], words[1::2], strict=True):
        what = option.removeprefix("--keep-")
        if option == "--group-by":
            by = tuple(GroupBy(name) for name in value.split(",") if name)
        elif what == "tag":
            tags.append(tuple(value.split(",")))
        elif what == "within":
            within = Duration.parse(value)
        elif what.startswith("within-"):
            periods[Period(what.removeprefix("within-"))] = Duration.parse(value)
        else:
            counts[Period(what)] = int(value)
    return Policy(counts, within, periods, tuple(tags)), by


@pytest.mark.slow
@pytest.mark.needs("restic")
def test_restic_keeps_the_same_for_the_same_reasons(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    repository = new_repository(FolderStorage(folder))
    with repository.writer() as writer:
        tree = writer.save(BlobType.TREE, encode_tree([])).id.hex()
    moment = datetime(2022, 11, 1, 22, 10, tzinfo=UTC)
    for number in range(90):
        # Nearer and nearer to the past: hours, then days, weeks, months.
        moment -= timedelta(minutes=37 * number + number**3 // 9)
        offset = "+09:00" if number % 3 else "Z"
        local = (moment + timedelta(hours=9 if number % 3 else 0)).strftime("%Y-%m-%dT%H:%M:%S")
        repository.save_snapshot(
            Snapshot(
                time=f"{local}.{number:09}{offset}",
                tree=tree,
                paths=["/a"] if number % 4 else ["/b", "/a"],
                hostname="one" if number % 5 else "two",
                tags=[["x"], ["y", "x"], [], ["z"]][number % 4],
            )
        )
    snapshots = repository.snapshots()
    for words in POLICIES:
        done = subprocess.run(
            ["restic", "--no-cache", "--no-lock", "-r", str(folder), "forget", "--dry-run", "--json", *words],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RESTIC_PASSWORD": PASSWORD, "TZ": "Europe/Berlin"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        theirs = {
            parse_time(each["snapshot"]["time"]): each["matches"]
            for group in json.loads(done.stdout.splitlines()[0])
            for each in group["reasons"] or []
        }
        policy, by = policy_of(words)
        ours = {
            snapshot.time_ns: [reason.match for reason in reasons]
            for each in retain(snapshots, policy, now=NOW, zone=None, by=by, may_empty=True)
            for snapshot, reasons in each.keep
        }
        assert ours == theirs, words
