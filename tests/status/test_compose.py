from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.status.compose import SEVERITIES, Facts, compose
from appliance.status.model import (
    CapacityStatus,
    JobKind,
    JobStatus,
    Outcome,
    PlaceStatus,
    PluginStatus,
    Problem,
    Progress,
    Severity,
    State,
)
from appliance.text import LANGUAGES, Text
from tests.support.status import NOW, all_facts, good_facts, good_result, good_source, moments

SUCCESS = {State.IDLE, State.WORKING}


def codes(facts: Facts, now: datetime = NOW) -> dict[str, Severity]:
    return {problem.code: problem.severity for problem in compose(facts, now).problems}


@given(all_facts, moments)
def test_compose_is_deterministic_and_names_each_problem_once(facts: Facts, now: datetime) -> None:
    status = compose(facts, now)
    assert status == compose(facts, now)
    keys = [(problem.code, problem.subject) for problem in status.problems]
    assert len(keys) == len(set(keys))


@given(all_facts, moments)
def test_the_worst_problem_decides(facts: Facts, now: datetime) -> None:
    status = compose(facts, now)
    ranks = [SEVERITIES.index(problem.severity) for problem in status.problems]
    assert ranks == sorted(ranks, reverse=True)
    if facts.stopping:
        assert status.state is State.STOPPING
    elif ranks and ranks[0] and (facts.ready or ranks[0] == SEVERITIES.index(Severity.FAULT)):
        assert status.state.value == status.problems[0].severity.value
        assert status.reason == status.problems[0].what
        assert status.todo == status.problems[0].todo
    elif not facts.ready:
        assert status.state is State.STARTING
    else:
        assert status.state is (State.WORKING if facts.jobs else State.IDLE)


@given(
    all_facts, moments, st.sampled_from([Outcome.FAILED, Outcome.PARTIAL, Outcome.REFUSED]), st.sampled_from(JobKind)
)
def test_failure_never_looks_like_success(facts: Facts, now: datetime, outcome: Outcome, kind: JobKind) -> None:
    newest = good_result(id="zz", kind=kind, subject="new", outcome=outcome, started_at=now, ended_at=now)
    status = compose(replace(facts, results=(*facts.results, newest)), now)
    assert status.state not in SUCCESS


@given(all_facts, moments)
def test_every_problem_can_be_read_in_every_language(facts: Facts, now: datetime) -> None:
    status = compose(facts, now)
    for language in LANGUAGES:
        for problem in status.problems:
            assert problem.what.render(language)
        assert status.reason.render(language)


@given(all_facts, moments, st.timedeltas(timedelta(0), timedelta(hours=1)))
def test_a_problem_that_lasts_keeps_the_moment_it_began(facts: Facts, now: datetime, later: timedelta) -> None:
    first = compose(facts, now)
    began = {(problem.code, problem.subject): problem.since for problem in first.problems}
    for problem in compose(facts, now + later, first).problems:
        assert problem.since == began.get((problem.code, problem.subject), problem.since)


def test_all_is_well_and_the_box_says_since_when() -> None:
    status = compose(good_facts(), NOW)
    assert status.state is State.IDLE
    assert status.problems == ()
    assert "2026-11-20 11:41" in str(status.reason), "the moment is the box's local time"


def test_without_a_backup_yet_all_is_not_in_order() -> None:
    fresh = good_facts(started_at=NOW, results=(), sources=(good_source(last_backup_at=None),))
    assert str(compose(fresh, NOW).reason) == "The box is ready and waits for the first backup."


@pytest.mark.parametrize("kind", JobKind)
def test_at_work_the_box_says_at_what(kind: JobKind) -> None:
    job = JobStatus("1", kind, "folder:/srv/office", NOW, Progress(Text("reading")))
    status = compose(good_facts(jobs=(job,)), NOW)
    assert status.state is State.WORKING
    assert "folder:" not in str(status.reason), "people know a source by its title"
    assert str(compose(good_facts(jobs=(job, job)), NOW).reason) == "2 jobs are running."


def test_while_starting_nothing_is_said_to_be_missing() -> None:
    status = compose(good_facts(ready=False, sources=(), vault=None, cloud=None), NOW)
    assert (status.state, status.problems) == (State.STARTING, ())


def test_while_starting_what_was_a_problem_stays_one_but_does_not_decide() -> None:
    before = compose(good_facts(vault=PlaceStatus("/srv/vault", False, NOW), sources=()), NOW)
    unknown = good_facts(ready=False, sources=(), vault=PlaceStatus("/srv/vault", None))
    status = compose(unknown, NOW, before)
    assert status.state is State.STARTING
    assert status.problems == before.problems
    assert compose(replace(unknown, ready=True, sources=(good_source(),)), NOW, status).problems == ()


def test_stopping_comes_before_everything() -> None:
    down = PlaceStatus("/srv/vault", False, NOW)
    status = compose(good_facts(stopping=True, vault=down), NOW)
    assert status.state is State.STOPPING
    assert [problem.code for problem in status.problems] == ["vault.unreachable"]


@pytest.mark.parametrize(
    ("used", "expected", "subject"),
    [
        (399_999_999_999, {}, None),
        (400_000_000_000, {"capacity.warning": Severity.WARNING}, "80 %"),
        (449_999_999_999, {"capacity.warning": Severity.WARNING}, "80 %"),
        (450_000_000_000, {"capacity.warning": Severity.WARNING}, "90 %"),
        (498_999_999_999, {"capacity.warning": Severity.WARNING}, "90 %"),
        (499_000_000_000, {"capacity.full": Severity.ATTENTION}, ""),
        (499_999_999_999, {"capacity.full": Severity.ATTENTION}, ""),
        (500_000_000_000, {"capacity.reached": Severity.ATTENTION}, ""),
        (500_000_000_001, {"capacity.exceeded": Severity.ATTENTION}, ""),
    ],
)
def test_capacity_is_judged_to_the_byte(used: int, expected: dict[str, Severity], subject: str | None) -> None:
    facts = good_facts(capacity=CapacityStatus(500_000_000_000, used, 1_000_000_000, NOW))
    assert codes(facts) == expected
    assert [problem.subject for problem in compose(facts, NOW).problems] == ([] if subject is None else [subject])


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (499_999_999_999, "capacity.warning"),
        (500_000_000_000, "capacity.reached"),
        (520_000_000_000, "capacity.exceeded"),
    ],
)
def test_a_capacity_that_holds_nothing_back_is_told_of_and_no_more(used: int, expected: str) -> None:
    capacity = CapacityStatus(500_000_000_000, used, 0, NOW, meter="collected", holds=False)
    status = compose(good_facts(capacity=capacity), NOW)
    assert [problem.code for problem in status.problems] == [expected]
    assert status.state is State.WARNING
    assert "Nothing more is sent" not in str(status.reason)


@pytest.mark.parametrize(
    ("full_on", "apply_by", "told"),
    [(20, None, True), (31, None, False), (60, 29, True), (60, 40, False), (None, None, False)],
)
def test_a_capacity_that_will_be_full_soon_is_told_in_time(
    full_on: int | None, apply_by: int | None, told: bool
) -> None:
    def on(days: int | None) -> date | None:
        return None if days is None else (NOW + timedelta(days=days)).date()

    capacity = CapacityStatus(10**12, 10**11, 0, NOW, full_on=on(full_on), apply_by=on(apply_by))
    assert codes(good_facts(capacity=capacity)) == ({"capacity.forecast": Severity.WARNING} if told else {})


def test_a_threshold_that_makes_no_sense_is_no_threshold() -> None:
    full = CapacityStatus(500_000_000_000, 498_000_000_000, 1_000_000_000, NOW)
    assert codes(good_facts(capacity=full, warn_at=(-1.0, 0.0, 1.0, 80.0))) == {}


def test_snapshots_that_wait_say_what_they_need_once() -> None:
    capacity = CapacityStatus(500_000_000_000, 490_000_000_000, 1_000_000_000, NOW, 2, 12_345_678_901)
    refused = good_result(id="2", kind=JobKind.REPLICATE, subject="cloud", outcome=Outcome.REFUSED)
    status = compose(good_facts(capacity=capacity, results=(refused,)), NOW)
    assert [problem.code for problem in status.problems] == ["capacity.waiting"]
    assert "12.35 GB" in str(status.reason) and "9.000 GB" in str(status.reason)


def test_a_cloud_that_is_silent_matters_more_with_time() -> None:
    def cloud(since: timedelta) -> PlaceStatus:
        return PlaceStatus("s3:https://s3.example.jp/box", False, NOW - since)

    assert codes(good_facts(cloud=cloud(timedelta(minutes=1)))) == {"cloud.unreachable": Severity.WARNING}
    assert codes(good_facts(cloud=cloud(timedelta(hours=26)))) == {"cloud.unreachable": Severity.ATTENTION}
    assert codes(good_facts(cloud=cloud(timedelta(minutes=1)), vault=None)) == {"cloud.unreachable": Severity.FAULT}
    unknown = PlaceStatus("s3:https://s3.example.jp/box", None)
    assert codes(good_facts(cloud=unknown)) == {}


def test_a_vault_that_is_gone_is_a_fault_and_no_place_at_all_needs_a_person() -> None:
    assert codes(good_facts(vault=PlaceStatus("/srv/vault", False, NOW))) == {"vault.unreachable": Severity.FAULT}
    assert codes(good_facts(vault=None, cloud=None)) == {"setup.no-place": Severity.ATTENTION}


@pytest.mark.parametrize("kind", JobKind)
@pytest.mark.parametrize(
    ("outcome", "severity"),
    [
        (Outcome.FAILED, Severity.ATTENTION),
        (Outcome.REFUSED, Severity.ATTENTION),
        (Outcome.PARTIAL, Severity.WARNING),
    ],
)
def test_the_last_run_of_each_kind_counts(kind: JobKind, outcome: Outcome, severity: Severity) -> None:
    bad = good_result(id="2", kind=kind, outcome=outcome, ended_at=NOW - timedelta(hours=2))
    assert codes(good_facts(results=(bad, good_result()))) == {f"{kind}.{outcome}": severity}
    repaired = good_result(id="3", kind=kind, ended_at=NOW - timedelta(hours=1))
    assert codes(good_facts(results=(repaired, bad))) == {}
    cancelled = good_result(id="3", kind=kind, outcome=Outcome.CANCELLED, ended_at=NOW - timedelta(hours=1))
    assert codes(good_facts(results=(cancelled, bad))) == {f"{kind}.{outcome}": severity}


def test_a_failed_restore_is_news_for_a_day_and_an_undesignated_source_for_none() -> None:
    restore = good_result(kind=JobKind.RESTORE, outcome=Outcome.FAILED, ended_at=NOW)
    assert codes(good_facts(results=(restore,))) == {"restore.failed": Severity.ATTENTION}
    assert codes(good_facts(results=(restore,), overdue_after=timedelta(days=9)), NOW + timedelta(days=1)) == {}
    dropped = good_source(id="disk:old", designated=False)
    failed = good_result(subject="disk:old", outcome=Outcome.FAILED)
    assert codes(good_facts(sources=(good_source(), dropped), results=(failed,))) == {}


def test_a_disk_that_is_away_is_to_be_plugged_in() -> None:
    away = good_source(present=False, removable=True)
    status = compose(good_facts(sources=(away,), results=(good_result(outcome=Outcome.PARTIAL),)), NOW)
    assert status.state is State.WARNING
    assert str(status.todo).startswith("Plug it in")


def test_silence_is_a_problem_too() -> None:
    overdue = timedelta(hours=26)
    old = good_source(last_backup_at=NOW - overdue)
    assert codes(good_facts(sources=(old,))) == {"backup.overdue": Severity.ATTENTION}
    assert codes(good_facts(sources=(old,)), NOW - timedelta(seconds=1)) == {}
    away = replace(old, removable=True, present=False)
    assert codes(good_facts(sources=(away,))) == {"backup.overdue": Severity.WARNING}
    never = good_source(last_backup_at=None)
    assert codes(good_facts(sources=(never,))) == {"backup.overdue": Severity.ATTENTION}
    young = {never.id: NOW - timedelta(hours=1)}
    assert codes(good_facts(sources=(never,), designated_at=young)) == {}


def test_sources_that_are_missing_or_not_designated_or_not_readable_are_told() -> None:
    assert codes(good_facts(sources=())) == {"setup.no-source": Severity.WARNING}
    assert codes(good_facts(sources=(good_source(present=False),))) == {"source.missing": Severity.WARNING}
    assert codes(good_facts(sources=(good_source(present=False, removable=True),))) == {}
    raw = good_source(collectable=False, why_not=Text("It has no file system."))
    status = compose(good_facts(sources=(raw,)), NOW)
    assert [problem.code for problem in status.problems] == ["source.not-collectable"]
    assert "It has no file system." in str(status.reason)


def test_a_plugin_that_was_set_aside_is_named() -> None:
    plugin = PluginStatus("printer", "kurabako-printer", "1.0", "set-aside", Text("It has no ink."))
    active = replace(plugin, name="scanner", state="active")
    status = compose(good_facts(plugins=(plugin, active)), NOW)
    assert [(problem.code, problem.subject) for problem in status.problems] == [("plugin.set-aside", "printer")]
    assert "no ink" in str(status.reason)


def test_what_is_only_for_the_record_changes_no_state() -> None:
    note = Problem("disks.old", Severity.INFO, Text("A disk is old."), NOW)
    status = compose(good_facts(problems=(note,)), NOW)
    assert status.state is State.IDLE
    assert status.problems == (note,)
    worse = replace(note, severity=Severity.FAULT)
    assert compose(good_facts(problems=(note, worse)), NOW).problems == (worse,)
