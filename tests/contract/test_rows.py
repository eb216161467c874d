"""The acceptance rows that are days and sums, by their IDs, through the command itself.

`test_<SERVICE>_<NN>_…` shows a whole row; `test_<SERVICE>_<NN>_days_…` the days and sums of a row whose rest needs a
running box. `docs/services.md` is made from these names (`python -m tests.contract.services_table`).
"""

from __future__ import annotations

import pytest

from tests.contract.conftest import Ask

KSG = "--contract-date 2026-05-20"
NO1 = "--contract-date 2026-05-20 --start-date 2026-05-20 --monthly-fee 8000"
MJS = "--contract-date 2026-05-15 --start-date 2026-05-20 --units 3"
KNET = "--contract-date 2026-05-20 --monthly-fee 30000"


def test_KSG_01_a_year_ends_the_day_before_and_notice_counts_from_the_end_of_the_month(ask: Ask) -> None:
    assert ask("ksg", KSG) == {
        "expires_on": "2027-05-19",
        "next_expires_on": "2028-05-19",
        "notice_last": "2027-04-21",
        "notice_safe": "2027-04-20",
        "renewal_payment_due": "2027-05-31",
    }


def test_KSG_02_days_without_a_notice_the_next_year_is_fixed_and_begins(ask: Ask) -> None:
    fixed = ask("ksg", f"{KSG} --at 2027-04-22")
    assert (fixed["expires_on"], fixed["next_expires_on"], fixed["notice_last"]) == (
        "2027-05-19",
        "2028-05-19",
        "2028-04-21",
    )
    begun = ask("ksg", f"{KSG} --at 2027-05-20")
    assert (begun["expires_on"], begun["next_expires_on"]) == ("2028-05-19", "2029-05-19")


def test_KSG_03_a_notice_on_the_last_day_is_in_time_and_a_day_later_is_not(ask: Ask) -> None:
    assert ask("ksg", f"{KSG} --end-notice 2027-04-21")["earliest_end"] == "2027-05-19"
    assert ask("ksg", f"{KSG} --end-notice 2027-04-22")["earliest_end"] == "2028-05-19"


def test_KSG_04_a_contract_of_the_first_expires_with_the_month_before(ask: Ask) -> None:
    answers = ask("ksg", "--contract-date 2026-06-01")
    assert (answers["expires_on"], answers["notice_last"]) == ("2027-05-31", "2027-04-21")


def test_KSG_05_the_month_of_expiry_may_end_on_a_leap_day(ask: Ask) -> None:
    answers = ask("ksg", "--contract-date 2027-02-15")
    assert (answers["expires_on"], answers["notice_last"]) == ("2028-02-14", "2028-01-20")
    assert answers["renewal_payment_due"] == "2028-02-29"


def test_KSG_06_three_years_are_renewed_for_three(ask: Ask) -> None:
    answers = ask("ksg", f"{KSG} --term-years 3")
    assert (answers["expires_on"], answers["next_expires_on"]) == ("2029-05-19", "2032-05-19")


def test_KSG_07_days_a_cancellation_within_the_term_ends_nothing_before_its_end(ask: Ask) -> None:
    assert ask("ksg", f"{KSG} --end-notice 2026-10-01")["earliest_end"] == "2027-05-19"


def test_KSG_14_days_a_default_can_be_cured_for_fourteen_days(ask: Ask) -> None:
    assert ask("ksg", "--suspended-on 2026-07-01T10:00") == {"termination_possible_from": "2026-07-16"}
    assert ask("ksg", "--suspended-on 2026-07-01T00:00") == {"termination_possible_from": "2026-07-15"}


def test_KSG_21_days_new_terms_count_from_the_day_they_are_sent(ask: Ask) -> None:
    assert ask("ksg", "--terms-notice 2026-06-01T09:00") == {"terms_effective_earliest": "2026-06-01"}


def test_KSG_22_payment_rolls_forward_and_renewal_payment_back_to_a_bank_day(ask: Ask) -> None:
    assert ask("ksg", "--invoice-received 2026-09-15")["payment_due"] == "2026-11-02"
    assert ask("ksg", "--invoice-received 2026-11-10")["payment_due"] == "2027-01-04"
    expiring = ask("ksg", "--contract-date 2026-10-05")
    assert (expiring["expires_on"], expiring["renewal_payment_due"]) == ("2027-10-04", "2027-10-29")
    assert ask("ksg", "--contract-date 2026-12-10")["renewal_payment_due"] == "2027-12-30"


def test_KSG_23_ten_days_late_cost_nothing_and_eleven_count_from_the_first(ask: Ask) -> None:
    late = "--due 2026-06-30 --amount 120000 --paid"
    assert ask("ksg", f"{late} 2026-07-10") == {"late_fee": 0}
    assert ask("ksg", f"{late} 2026-07-11") == {"late_fee": 528}


def test_NO1_01_the_minimum_month_ends_on_its_own_day_and_each_month_follows(ask: Ask) -> None:
    answers = ask("no1", NO1)
    assert (answers["minimum_term_ends_on"], answers["expires_on"]) == ("2026-06-20", "2026-06-20")
    assert answers["next_expires_on"] == "2026-07-20"
    assert ask("no1", f"{NO1} --at 2026-07-21")["expires_on"] == "2026-08-20"


def test_NO1_02_renewals_do_not_drift_at_the_end_of_a_month(ask: Ask) -> None:
    looks = ("2026-01-30", "2026-03-01", "2026-03-31", "2026-05-01")
    ends = [ask("no1", f"--contract-date 2026-01-30 --at {day}")["expires_on"] for day in looks]
    assert ends == ["2026-02-28", "2026-03-30", "2026-04-30", "2026-05-30"]


def test_NO1_03_the_first_extension_cannot_be_avoided_the_day_after(ask: Ask) -> None:
    answers = ask("no1", f"{NO1} --at 2026-05-21")
    assert (answers["expires_on"], answers["next_expires_on"]) == ("2026-06-20", "2026-07-20")
    assert answers["notice_last"] == "2026-06-20"
    assert ask("no1", NO1)["notice_last"] == "2026-05-20"


def test_NO1_04_a_cancellation_ends_a_month_later_and_its_last_month_is_charged_in_full(ask: Ask) -> None:
    answers = ask("no1", f"{NO1} --end-notice 2026-07-10")
    assert (answers["earliest_end"], answers["total_fee"]) == ("2026-08-10", 24_000)


def test_NO1_05_a_cancellation_within_the_minimum_term_may_end_after_it(ask: Ask) -> None:
    assert ask("no1", f"{NO1} --end-notice 2026-05-25")["earliest_end"] == "2026-06-25"
    assert ask("no1", f"{NO1} --end-notice 2026-05-20")["earliest_end"] == "2026-06-20"


def test_NO1_08_days_an_upgrade_counts_from_the_first_of_the_next_month(ask: Ask) -> None:
    assert ask("no1", "--change-received 2026-06-10") == {"change_possible_from": "2026-07-01"}


def test_NO1_09_the_month_of_the_start_is_free_and_the_month_of_the_end_is_full(ask: Ask) -> None:
    answers = ask("no1", f"{NO1} --end-notice 2026-07-05")
    assert answers["earliest_end"] == "2026-08-05"
    assert (answers["first_charged_month"], answers["total_fee"]) == ("2026-06", 24_000)
    assert ask("no1", f"{NO1} --service-ends 2026-08-05")["total_fee"] == 24_000


def test_NO1_10_days_a_change_in_july_counts_from_august(ask: Ask) -> None:
    for day in ("2026-07-01", "2026-07-31"):
        assert ask("no1", f"--change-received {day}") == {"change_possible_from": "2026-08-01"}


def test_NO1_12_a_fraction_of_a_yen_is_dropped(ask: Ask) -> None:
    assert ask("no1", "--amount 3333 --tax 0.10") == {"tax": 333, "with_tax": 3_666}


def test_NO1_11_late_payment_never_costs_anything(ask: Ask) -> None:
    assert ask("no1", "--due 2026-06-30 --paid 2026-09-28 --amount 8000") == {"late_fee": 0}


def test_MJS_08_days_four_units_are_400_GB(ask: Ask) -> None:
    assert ask("mjs", "--units 4") == {"capacity_bytes": 400_000_000_000}
    assert ask("mjs", "--units 3") == {"capacity_bytes": 300_000_000_000}


def test_MJS_09_a_change_takes_ten_business_days(ask: Ask) -> None:
    received = {"2026-05-20": "2026-06-03", "2026-04-24": "2026-05-14", "2026-09-10": "2026-09-29"}
    for day, first in received.items():
        assert ask("mjs", f"--change-received {day}") == {"change_possible_from": first}


@pytest.mark.parametrize("between", [" --closed ", " "])
def test_MJS_10_the_providers_summer_holidays_do_not_count(ask: Ask, between: str) -> None:
    closed = between.join(("2026-08-12", "2026-08-13", "2026-08-14"))
    change = "--change-received 2026-07-30"
    assert ask("mjs", f"{change} --closed {closed}") == {"change_possible_from": "2026-08-19"}
    assert ask("mjs", change) == {"change_possible_from": "2026-08-14"}


def test_MJS_11_days_the_month_of_a_cancellation_is_japans(ask: Ask) -> None:
    for arrived, end in {
        "2026-08-31T23:59": "2026-09-30",
        "2026-09-01T00:00": "2026-10-31",
        "2026-08-31T14:59Z": "2026-09-30",
        "2026-08-31T15:00Z": "2026-10-31",
    }.items():
        assert ask("mjs", f"{MJS} --end-notice {arrived}")["earliest_end"] == end


def test_MJS_12_no_end_within_the_first_three_months(ask: Ask) -> None:
    answers = ask("mjs", f"{MJS} --end-notice 2026-06-10")
    assert (answers["earliest_end"], answers["minimum_term_ends_on"]) == ("2026-08-31", "2026-08-31")


def test_MJS_13_the_month_of_the_start_is_free_even_from_its_first(ask: Ask) -> None:
    assert ask("mjs", "--start-date 2026-05-20")["first_charged_month"] == "2026-06"
    assert ask("mjs", "--start-date 2026-06-01")["first_charged_month"] == "2026-07"


def test_MJS_14_four_months_of_three_units_and_the_initial_fee(ask: Ask) -> None:
    taxed = ask("mjs", f"{MJS} --end-notice 2026-08-31 --tax 0.10")
    assert (taxed["total_fee"], taxed["with_tax"]) == (70_000, 77_000)
    answers = ask("mjs", f"{MJS} --end-notice 2026-08-31")
    assert (answers["earliest_end"], answers["total_fee"]) == ("2026-09-30", 70_000)
    assert ask("mjs", f"{MJS} --at 2026-09-30")["total_fee"] == 70_000


def test_KNT_01_a_year_with_two_months_notice(ask: Ask) -> None:
    assert ask("knet", KNET) == {
        "expires_on": "2027-05-19",
        "next_expires_on": "2028-05-19",
        "notice_last": "2027-03-19",
        "notice_safe": "2027-03-19",
    }


def test_KNT_02_days_a_late_notice_still_ends_the_contract_two_months_on(ask: Ask) -> None:
    answers = ask("knet", f"{KNET} --at 2027-03-20 --end-notice 2027-03-20")
    assert answers["notice_last"] == "2028-03-19"
    assert answers["earliest_end"] == "2027-05-20"


def test_KNT_03_a_wish_before_two_months_is_put_off_to_them(ask: Ask) -> None:
    for wish in ("--wish 2026-06-30", "--wish 2026-07-20", ""):
        assert ask("knet", f"{KNET} --end-notice 2026-05-20 {wish}")["earliest_end"] == "2026-07-20"
    assert ask("knet", f"{KNET} --end-notice 2026-05-20 --wish 2026-09-10")["earliest_end"] == "2026-09-10"


def test_KNT_04_two_months_from_the_end_of_december(ask: Ask) -> None:
    assert ask("knet", f"{KNET} --end-notice 2026-12-31")["earliest_end"] == "2027-02-28"
    assert ask("knet", f"{KNET} --end-notice 2026-06-30")["earliest_end"] == "2026-08-31"


def test_KNT_05_each_full_day_of_an_outage_is_credited(ask: Ask) -> None:
    outage = "--outage 2026-06-01T10:00 2026-06-03T15:30 --monthly-fee 30000"
    assert ask("knet", outage) == {"outage_credit": 1_000, "claim_until": "2026-09-02"}
    utc = "--outage 2026-06-01T01:00Z 2026-06-03T06:30Z --monthly-fee 30000"
    assert ask("knet", utc) == ask("knet", outage)


def test_KNT_06_days_a_day_counts_when_it_is_full(ask: Ask) -> None:
    day = ask("knet", "--outage 2026-06-01T10:00 2026-06-02T10:00 --monthly-fee 30000")
    assert day == {"outage_credit": 500, "claim_until": "2026-09-02"}
    less = ask("knet", "--outage 2026-06-01T10:00 2026-06-02T09:59 --monthly-fee 30000")
    assert less == {"outage_credit": 0}


def test_KNT_09_days_a_month_unpaid_makes_termination_possible(ask: Ask) -> None:
    assert ask("knet", "--due 2026-06-30") == {"termination_possible_from": "2026-08-01"}
    assert ask("knet", "--due 2026-06-30 --paid 2026-07-31") == {}


def test_KNT_12_days_new_terms_take_a_month(ask: Ask) -> None:
    assert ask("knet", "--terms-notice 2026-05-20") == {"terms_effective_earliest": "2026-06-20"}


def test_DNT_01_days_defects_can_be_reported_for_thirty_days(ask: Ask) -> None:
    assert ask("dnet", "--contract-date 2026-04-01 --delivered 2026-05-20") == {
        "minimum_term_ends_on": "2026-05-20",
        "acceptance_last": "2026-06-19",
    }


def test_DNT_11_days_new_terms_take_fourteen_days(ask: Ask) -> None:
    assert ask("dnet", "--terms-notice 2026-05-20") == {"terms_effective_earliest": "2026-06-03"}


def test_DNT_12_days_an_enquiry_is_to_be_answered_within_a_month(ask: Ask) -> None:
    assert ask("dnet", "--inquiry-sent 2026-05-20") == {"answer_by": "2026-06-20"}


def test_DNT_13_eleven_days_late_at_14_and_a_half_percent(ask: Ask) -> None:
    assert ask("dnet", "--due 2026-06-30 --paid 2026-07-11 --amount 100000") == {"late_fee": 436}


def test_DNT_18_days_an_end_is_to_be_announced_two_months_before(ask: Ask) -> None:
    assert ask("dnet", "--service-ends 2026-12-31") == {"announce_by": "2026-10-31"}


ALIKE = "--contract-date 2026-05-20 --start-date 2026-05-20"
DIFFERENT = [
    ("earliest_end", f"{ALIKE} --end-notice 2026-06-10", "2027-05-19 2026-07-10 2026-08-31 2026-08-10 -"),
    ("late_fee", "--amount 100000 --due 2026-06-30 --paid 2026-07-10", "0 0 400 - 397"),
    ("late_fee", "--amount 100000 --due 2026-06-30 --paid 2026-07-11", "440 0 440 - 436"),
    ("termination_possible_from", "--suspended-on 2026-07-01T10:00", "2026-07-16 2026-07-16 - 2026-07-01 -"),
    ("terms_effective_earliest", "--terms-notice 2026-05-20", "2026-05-20 - - 2026-06-20 2026-06-03"),
    ("announce_by", "--service-ends 2026-12-31", "2026-11-30 2026-11-30 2026-10-31 2026-10-31 2026-10-31"),
]


@pytest.mark.parametrize(("name", "options", "expected"), DIFFERENT)
def test_the_same_days_under_five_terms(ask: Ask, name: str, options: str, expected: str) -> None:
    services = ("ksg", "no1", "mjs", "knet", "dnet")
    assert [str(ask(service, options).get(name, "-")) for service in services] == expected.split()
