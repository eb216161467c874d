from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from appliance.status.compose import compose
from appliance.status.facts import Facts
from appliance.status.model import CapacityStatus, Outcome, PlaceStatus, Problem, Severity, Status
from appliance.status.notices import notices
from appliance.text import LANGUAGES, Text
from tests.support.status import NOW, all_facts, good_facts, good_result, moments, simple_status

GOOD = compose(good_facts(), NOW)


def told(previous: Status | None, current: Status) -> list[tuple[str, Severity]]:
    return [(notice.code, notice.severity) for notice in notices(previous, current)]


def with_used(used: int) -> Status:
    return compose(good_facts(capacity=CapacityStatus(1000, used, 10, NOW)), NOW)


@given(all_facts, moments)
def test_what_stays_as_it_is_is_told_once(facts: Facts, now: object) -> None:
    status = compose(facts, NOW)
    assert notices(status, compose(facts, NOW, status)) == []


@given(st.lists(all_facts, min_size=1, max_size=4))
def test_every_end_was_a_beginning_and_every_beginning_is_there(history: list[Facts]) -> None:
    previous = None
    for facts in history:
        current = compose(facts, NOW, previous)
        now = {problem.code for problem in current.problems}
        before = {problem.code for problem in previous.problems} if previous else set()
        for notice in notices(previous, current):
            assert notice.code in (before if notice.severity is Severity.INFO else now)
        previous = current


def test_a_problem_begins_grows_worse_and_ends() -> None:
    def cloud(hours: int) -> Status:
        place = PlaceStatus("s3:https://s3.example.jp/box", False, NOW - timedelta(hours=hours))
        return compose(good_facts(cloud=place), NOW)

    assert told(GOOD, cloud(1)) == [("cloud.unreachable", Severity.WARNING)]
    assert told(cloud(1), cloud(2)) == []
    assert told(cloud(2), cloud(30)) == [("cloud.unreachable", Severity.ATTENTION)]
    assert told(cloud(30), cloud(1)) == [], "better is no news until it is good"
    assert told(cloud(30), GOOD) == [("cloud.unreachable", Severity.INFO)]


def test_the_capacity_is_one_scale() -> None:
    assert told(GOOD, with_used(800)) == [("capacity.warning", Severity.WARNING)]
    assert told(with_used(800), with_used(810)) == []
    assert told(with_used(810), with_used(900)) == [("capacity.warning", Severity.WARNING)]
    assert told(with_used(900), with_used(990)) == [("capacity.full", Severity.ATTENTION)]
    assert told(with_used(990), with_used(1000)) == [("capacity.reached", Severity.ATTENTION)]
    assert told(with_used(1000), with_used(1000)) == [], "no second mail"
    assert told(with_used(1000), with_used(1001)) == [("capacity.exceeded", Severity.ATTENTION)]
    assert told(with_used(990), with_used(900)) == []
    assert told(with_used(900), with_used(100)) == [("capacity.warning", Severity.INFO)]
    assert told(GOOD, with_used(900)) == [("capacity.warning", Severity.WARNING)], "one crossing, one notice"


def test_after_a_restart_nothing_is_told_again() -> None:
    failed = compose(good_facts(results=(good_result(outcome=Outcome.FAILED),)), NOW)
    starting = compose(good_facts(ready=False, results=()), NOW, failed)
    assert notices(failed, starting) == []
    again = compose(good_facts(results=(good_result(outcome=Outcome.FAILED),)), NOW, starting)
    assert notices(starting, again) == []


def test_when_nothing_is_known_what_is_wrong_is_told() -> None:
    assert told(None, with_used(990)) == [("capacity.full", Severity.ATTENTION)]
    assert told(None, GOOD) == []


def test_what_is_only_for_the_record_is_told_to_nobody() -> None:
    note = Problem("disks.old", Severity.INFO, Text("A disk is old."), NOW)
    noted = simple_status(problems=(note,))
    assert told(GOOD, noted) == told(noted, GOOD) == []
    worse = simple_status(problems=(replace(note, severity=Severity.FAULT),))
    assert told(noted, worse) == [("disks.old", Severity.FAULT)]


def test_a_notice_says_what_is_safe_and_what_to_do() -> None:
    (begun,) = notices(GOOD, with_used(990))
    assert begun.subject.render("ja").startswith("蔵箱：契約容量を使い切りました")
    assert begun.body.render("en").count("\n") == 2
    (ended,) = notices(with_used(990), GOOD)
    for language in LANGUAGES:
        assert ended.body.render(language).splitlines()[1] == GOOD.reason.render(language)
    assert str(ended.subject).startswith("蔵箱: Solved: ")
