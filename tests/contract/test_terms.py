"""Terms as data: a sixth service is a file, and a wrong file says what is wrong with it."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.contract.files import BadProfile, load_profiles
from appliance.contract.preview import ANSWERS, Question, preview
from appliance.contract.terms import Terms

HEAD = 'id = "sixth"\nname_en = "Sixth"\nname_ja = "第六"\n[terms]\nversion = 2026-04-01\n'
TERM = '[terms.term]\nclause = "3"\nrenewal_clause = "4"\nlength = "6 months"\nfirst_day = "counted"\n'
NOTICE = '[terms.nonrenewal]\nclause = "4"\nnotice = "1 month"\nanchor = "expiry"\n'
END = '[terms.customer_end]\nclause = "5"\nrule = "month_end"\nmonths = 2\n'
days = st.dates(date(2000, 1, 1), date(2079, 12, 31))


def load(folder: Path, text: str) -> Terms:
    (folder / "sixth.toml").write_text(text, encoding="utf-8")
    (profile,) = load_profiles(folder)
    assert profile.terms is not None
    return profile.terms


def test_a_sixth_service_is_a_file(tmp_path: Path) -> None:
    terms = load(tmp_path, HEAD + TERM + NOTICE + END)
    question = Question(contract_date=date(2026, 8, 31), at=date(2027, 3, 1), end_notice=date(2027, 3, 31))
    answers = {name: (str(answer.value), answer.clause) for name, answer in preview(terms, question).items()}
    assert answers == {
        "expires_on": ("2027-08-30", "4"),
        "next_expires_on": ("2028-02-29", "4"),
        "notice_last": ("2027-07-30", "4"),
        "notice_safe": ("2027-07-30", "4"),
        "earliest_end": ("2027-05-31", "5"),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TERM.replace('"6 months"', '"6 weeks"'), 'terms.term.length = "6 weeks"'),
        (TERM.replace('"6 months"', '"6 weeks"'), "write a period such as 40 days, 1 month or 1 year"),
        (TERM.replace('"6 months"', '"30 days"'), "write a number of months or years"),
        (TERM.replace('"6 months"', '"0 months"'), "write a period of more than nothing"),
        (TERM.replace('"6 months"', '"31 years"'), "a period of at most 30 years"),
        (TERM.replace('"6 months"', "6"), "terms.term.length = 6"),
        (TERM.replace('"counted"', '"maybe"'), "'counted', 'not_counted'"),
        (TERM.replace('clause = "3"\n', ""), "the field terms.term.clause is missing"),
        (TERM + 'rebate = "all"\n', "there is no field terms.term.rebate"),
        (NOTICE, "nonrenewal needs the table term"),
        (TERM + '[terms.customer_end]\nclause = "5"\nrule = "expiry"\n', "customer_end needs the table nonrenewal"),
        (END.replace("month_end", "full_moon"), "'expiry', 'after_notice', 'month_end'"),
        ('[terms.late_fee]\nclause = "9"\nrate = 0.146\n', "terms.late_fee.rate = 0.146"),
        ('[terms.late_fee]\nclause = "9"\nrate = "1e9"\n', 'in quotes, such as "0.146"'),
        ('[terms.late_fee]\nclause = "9"\nrate = "1.1"\n', "write 1 or less"),
        ('[terms.capacity]\nclause = "1"\nunit = 100.5\n', 'in quotes, such as "100 GB"'),
        ('[terms.capacity]\nclause = "1"\nunit = "0 GB"\n', "write a number greater than 0"),
        ('[terms.fees]\nclause = "1"\nper_unit = 5000\n', "fees.per_unit needs capacity.unit"),
        ('[terms.fees]\nclause = "1"\ninitial = -1\n', "terms.fees.initial = -1"),
    ],
)
def test_a_wrong_file_says_where_and_what_is_allowed(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadProfile) as caught:
        load(tmp_path, HEAD + text)
    assert "sixth.toml" in str(caught.value)
    assert said in str(caught.value)


def test_nothing_is_answered_that_was_not_asked_or_is_not_in_the_terms(tmp_path: Path) -> None:
    assert preview(load(tmp_path, HEAD + TERM + NOTICE + END), Question()) == {}
    assert preview(load(tmp_path, HEAD), Question(contract_date=date(2026, 5, 20), due=date(2026, 6, 30))) == {}


FIVE = {
    profile.id: profile.terms
    for profile in load_profiles(Path(__file__).parents[2] / "plugins" / "appliance_services" / "profiles")
    if profile.terms is not None
}


def test_the_five_services_have_terms() -> None:
    assert sorted(FIVE) == ["dnet", "knet", "ksg", "mjs", "no1"]


def test_every_answer_is_given_by_some_service() -> None:
    some = date(2026, 5, 20)
    everything = Question(
        **{name: some for name, kind in Question.__annotations__.items() if kind == "date | None"},
        units=1,
        monthly_fee=1,
        amount=1,
        outage=None,
        tax_rate=Fraction(1, 10),
    )
    given_answers = {name for terms in FIVE.values() for name in preview(terms, everything)}
    assert given_answers == set(ANSWERS) - {"outage_credit", "claim_until"}, "those two want an outage"


@given(st.sampled_from(sorted(FIVE)), days, st.integers(0, 3_000), st.integers(1, 5))
def test_whatever_the_days_the_calendar_is_in_order(service: str, contract: date, later: int, years: int) -> None:
    at = contract + timedelta(days=later)
    question = Question(contract_date=contract, term_multiple=years, at=at, end_notice=at, monthly_fee=1_000)
    answers = preview(FIVE[service], question)
    if "expires_on" in answers:
        expires, following = answers["expires_on"].value, answers["next_expires_on"].value
        assert isinstance(expires, date)
        assert isinstance(following, date)
        assert at <= expires < following
    if "notice_last" in answers:
        concerns = answers["notice_last"].concerns
        assert concerns is not None
        safe, last = answers["notice_safe"].value, answers["notice_last"].value
        assert isinstance(safe, date)
        assert isinstance(last, date)
        assert safe <= last < concerns
        assert last >= at
    if "earliest_end" in answers:
        assert answers["earliest_end"].value >= at  # type: ignore[operator]
    if "total_fee" in answers:
        assert answers["total_fee"].value >= 0  # type: ignore[operator]


@given(st.sampled_from(["ksg", "no1", "knet"]), days)
def test_each_of_ten_renewals_takes_over_the_day_after(service: str, contract: date) -> None:
    terms = FIVE[service]
    assert terms.term is not None
    ends = [terms.term.end(contract, n, 1) for n in range(1, 11)]
    for end, following in pairwise(ends):
        for day, expected in ((end, end), (end + timedelta(days=1), following)):
            assert preview(terms, Question(contract_date=contract, at=day))["expires_on"].value == expected


@given(st.sampled_from(sorted(FIVE)), days, st.integers(0, 800), st.integers(0, 10**9))
def test_paying_later_never_costs_less(service: str, due: date, late: int, amount: int) -> None:
    def fee(days_late: int) -> object:
        paid = due + timedelta(days=days_late)
        answer = preview(FIVE[service], Question(due=due, paid=paid, amount=amount)).get("late_fee")
        return 0 if answer is None else answer.value

    assert 0 <= fee(late) <= fee(late + 1)  # type: ignore[operator]
