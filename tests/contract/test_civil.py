"""The Civil Code's periods and the deadlines before a day: the vectors of section 2, and what must always hold."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.contract.civil import Deadline, Span, Unit, before, civil_day, last_day, month_end, next_month

days = st.dates(date(2000, 1, 1), date(2099, 12, 31))
spans = st.builds(Span, st.integers(1, 60), st.sampled_from(Unit))
month_spans = st.builds(Span, st.integers(1, 60), st.sampled_from([Unit.MONTH, Unit.YEAR]))


def d(text: str) -> date:
    return date.fromisoformat(text)


@pytest.mark.parametrize(
    ("span", "event", "counted", "not_counted"),
    [
        ("1 year", "2026-05-20", "2027-05-19", "2027-05-20"),
        ("1 year", "2026-06-01", "2027-05-31", "2027-06-01"),
        ("1 year", "2027-03-01", "2028-02-29", "2028-03-01"),
        ("1 year", "2028-02-29", "2029-02-28", "2029-02-28"),
        ("1 month", "2026-05-20", "2026-06-19", "2026-06-20"),
        ("1 month", "2026-01-31", "2026-02-28", "2026-02-28"),
        ("30 days", "2026-05-20", "2026-06-18", "2026-06-19"),
    ],
)
def test_a_period_ends_as_the_civil_code_says(span: str, event: str, counted: str, not_counted: str) -> None:
    assert last_day(d(event), Span.parse(span), counted=True) == d(counted)
    assert last_day(d(event), Span.parse(span), counted=False) == d(not_counted)


@pytest.mark.parametrize(
    ("day", "span", "safe", "last"),
    [
        ("2027-05-31", "40 days", "2027-04-20", "2027-04-21"),
        ("2027-05-19", "2 months", "2027-03-19", "2027-03-19"),
        ("2026-06-30", "1 month", "2026-05-30", "2026-05-31"),
        ("2027-02-28", "2 months", "2026-12-28", "2026-12-31"),
        ("2027-04-29", "2 months", "2027-02-27", "2027-02-28"),
    ],
)
def test_a_deadline_has_a_safe_and_a_last_reading(day: str, span: str, safe: str, last: str) -> None:
    assert before(d(day), Span.parse(span)) == Deadline(d(safe), d(last))


@pytest.mark.parametrize("text", ["", "1", "01 day", "-1 day", "1.5 months", "1 week", "1  day", "12345 days", "1 Day"])
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a period"):
        Span.parse(text)


def test_a_moment_is_a_day_in_japan() -> None:
    assert civil_day(datetime.fromisoformat("2026-08-31T14:59:59Z")) == d("2026-08-31")
    assert civil_day(datetime.fromisoformat("2026-08-31T15:00Z")) == d("2026-09-01")
    assert civil_day(datetime.fromisoformat("2026-09-01T00:00-05:00")) == d("2026-09-01")
    assert civil_day(datetime.fromisoformat("2026-09-01T00:00")) == d("2026-09-01")


@given(days, spans)
def test_a_deadline_comes_before_what_it_precedes_and_safe_not_after_last(day: date, span: Span) -> None:
    safe, last = before(day, span)
    assert safe <= last < day


@given(days, spans, st.booleans())
def test_a_longer_period_never_ends_earlier(event: date, span: Span, counted: bool) -> None:
    end = last_day(event, span, counted=counted)
    assert end >= event
    assert end < last_day(event, Span(span.count + 1, span.unit), counted=counted)


@given(days, spans)
def test_counting_the_day_itself_never_ends_a_period_later(event: date, span: Span) -> None:
    """Usually a day earlier; from 28 February, up to four: the other period begins, and so ends, with a month."""
    difference = last_day(event, span, counted=False) - last_day(event, span, counted=True)
    assert timedelta(0) <= difference <= timedelta(4 if span.unit is not Unit.DAY else 1)


@given(days, month_spans)
def test_a_period_of_months_ends_the_day_before_the_corresponding_day_or_with_the_month(day: date, span: Span) -> None:
    after = last_day(day, span, counted=True) + timedelta(days=1)
    months = (after.year - day.year) * 12 + after.month - day.month
    if after.day == day.day:
        assert months == span.months
    else:
        assert after.day == 1
        assert months == span.months + 1
        assert month_end(after - timedelta(days=1)).day < day.day


@given(days, st.integers(1, 40), st.booleans())
def test_a_renewal_is_counted_from_the_contract_and_not_from_the_renewal_before(
    contract: date, n: int, counted: bool
) -> None:
    """Anchored: a contract of a day that every month has ends on the same day of each."""
    month = Span(1, Unit.MONTH)
    ends = [last_day(contract, month.times(i), counted=counted) for i in range(1, n + 1)]
    assert ends == sorted(set(ends))
    first = contract if counted else contract + timedelta(days=1)
    if 1 < first.day <= 28:
        assert {end.day for end in ends} == {first.day - 1}


@given(days)
def test_a_month_ends_the_day_before_the_next(day: date) -> None:
    assert month_end(day) + timedelta(days=1) == next_month(day)
    assert next_month(day).day == 1
    assert day <= month_end(day)
