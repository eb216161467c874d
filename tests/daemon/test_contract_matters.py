"""The rows about what customer and provider tell each other, through the commands, the box's memory and its Status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from appliance.agreement import NotAllowedNow
from appliance.contract.box_state import Action
from appliance.daemon.facts import Moment, gather
from appliance.daemon.places import note_outage
from appliance.daemon.registered import addressed
from appliance.daemon.requests import ReplicateJob, RestoreJob
from appliance.status.compose import compose
from appliance.status.model import Outcome, Problem, Status
from appliance.status.notices import notices
from appliance.status.outputs import Notice
from tests.daemon.test_contracted_box import Contracted, make
from tests.support.commands import answer, command
from tests.support.daemon import Ran

__all__ = ["make"]

Make = Callable[..., Contracted]
ADMIN = {"role": "administrator", "name": "花田", "mail": "admin@example.co.jp"}
PROVIDER = {"role": "provider", "name": "サポート窓口", "mail": "desk@provider.example.jp"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text.replace(' ', 'T')}+09:00")


def run(one: Contracted, *words: str, typed: str = "", language: str = "C.UTF-8") -> Ran:
    return command(one.folder / "config.toml", lambda: one.now, *words, typed=typed, language=language)


def status(one: Contracted) -> Status:
    return compose(gather(one.box, Moment(one.now)), one.now)


def problem(one: Contracted, code: str) -> Problem | None:
    return next((found for found in status(one).problems if found.code == code), None)


def told(one: Contracted, code: str) -> list[Notice]:
    """Whom a notice of this code goes to, were it told now."""
    return [each for each in addressed(notices(None, status(one)), one.box.contract) if each.code == code]


def test_KSG_07_leaving_within_a_term_is_refused_and_a_notice_against_the_renewal_is_drafted(
    make: Make, tmp_path: Path
) -> None:
    one = make("ksg", capacity="9 MB")
    one.fill(1000)
    one.now = at("2026-10-01 10:00")
    refused = run(one, "contract", "cancel")
    assert refused.code == 1
    for words in ("(23-1)", "2027-04-20", "2027-05-19", "21-2", "--at-expiry"):
        assert words in refused.err, words
    draft = tmp_path / "draft.txt"
    drafted = answer(
        run(one, "contract", "cancel", "--at-expiry", "--output", str(draft), "--json", language="ja_JP.UTF-8")
    )
    assert (drafted["ends_on"], drafted["clause"]) == ("2027-05-19", "21-2")
    letter = draft.read_text()
    assert letter == drafted["letter"]
    for words in ("C-2026/17", "株式会社はなだ", "2027-05-19", "2027-04-21", "KSG クラウドバックアップ", "更新しない"):
        assert words in letter, words
    assert [entry["possible"] for entry in one.evidence("contract.cancel-asked")] == [False, True]
    assert one.box.contract.standing.allowed == frozenset(Action)
    assert one.backup().outcome is one.do(ReplicateJob()).outcome is Outcome.DONE, "replication continues"


@pytest.mark.parametrize(
    ("service", "end", "clause"),
    [
        ("no1", "2026-11-01", "11-1"),
        ("mjs", "2026-11-30", "10-1, 別紙B 解約4"),
        ("knet", "2026-12-01", "14-1"),
        ("dnet", None, "25"),
    ],
)
def test_each_service_says_when_it_can_be_left(make: Make, service: str, end: str | None, clause: str) -> None:
    one = make(service)
    one.now = at("2026-10-01 10:00")
    left = answer(run(one, "contract", "cancel", "--json"))
    assert (left["ends_on"], left["clause"]) == (end, clause)
    assert "C-2026/17" in left["letter"]
    assert ("契約" in left["letter"]) is (service == "knet"), "written in the provider's only language (19)"


def test_KSG_17_who_may_restore_for_what(make: Make) -> None:
    one = make("ksg", capacity="9 MB")
    one.fill(1000)
    assert one.backup().outcome is Outcome.DONE

    def restore(*words: str) -> Ran:
        return run(one, "restore", "latest", "--target", str(one.folder / f"back{len(words)}"), *words)

    for words, clause in (
        (("--for", "restore_test", "--by", "maker"), "5-ウ"),
        (("--for", "restore_verification", "--by", "provider"), "5-エ"),
        (("--for", "restore_test", "--by", "customer", "--order", "R-1"), "5-ウ"),
        (("--by", "maker"), "5-オ"),
    ):
        refused = restore(*words)
        assert (refused.code, f"({clause})" in refused.err) == (1, True), words
        assert not (one.folder / f"back{len(words)}").exists()
    assert [entry["clause"] for entry in one.evidence("restore.refused")] == ["5-ウ", "5-エ", "5-ウ", "5-オ"]
    own = restore()
    assert own.code == 0
    assert "not warrant" in own.out and "(15-2)" in own.out
    assert "0120" not in own.out and "tel" not in own.out.lower(), "no number of a support that does not help (15-3)"
    assert restore("--for", "restore_test", "--by", "maker", "--order", "R-1").code == 0
    option = {"id": "restore_verification", "starts_on": "2026-05-20"}
    one.bought("ksg", serial=2, capacity="9 MB", options=[option])
    assert restore("--for", "restore_verification", "--by", "provider").code == 0


def test_a_restore_is_evidence_of_who_had_what_restored(make: Make) -> None:
    one = make("ksg", capacity="9 MB")
    one.fill(1000, 2000)
    one.backup()
    one.do(RestoreJob("latest", str(one.folder / "back"), order="R-7"))
    (entry,) = one.evidence("restore")
    assert (entry["actor"], entry["purpose"], entry["order"]) == ("customer", "recovery", "R-7")
    assert (entry["files"], entry["failures"], entry["whole"]) == (2, 0, True)


def test_MJS_18_during_an_outage_the_page_names_where_the_provider_posts(make: Make) -> None:
    one = make("mjs")
    one.now = at("2026-06-10 10:00")
    note_outage(one.box, answers=False)
    found = problem(one, "matter.outage")
    assert found is not None and "https://info.support.mjs.co.jp/" in str(found.todo)
    assert not told(one, "matter.outage"), "nobody waits for a mail, and none is sent"
    one.now = at("2026-06-10 11:00")
    note_outage(one.box, answers=True)
    assert problem(one, "matter.outage") is None


SECRET = "s3cr3t-of-the-first-key"


def keyed(one: Contracted, secret: str = SECRET) -> None:
    """The box with a key for its cloud, at an address of its own."""
    one.cloud = "s3:https://s3.example.jp/acme01-a/box"
    one.box.close()
    one.open()
    config = one.folder / "config.toml"
    text = config.read_text().replace(
        "[[folders]]", f'access_key_id = "AK-1"\nsecret_access_key_file = "{one.folder}/secrets/s3"\n[[folders]]', 1
    )
    config.write_text(text)
    if secret:
        (one.folder / "secrets").mkdir(exist_ok=True)
        (one.folder / "secrets" / "s3").write_text(secret)
        (one.folder / "secrets" / "s3").chmod(0o600)
    one.box.close()
    one.box = type(one.box).open(config, clock=lambda: one.now)


def test_MJS_19_a_key_that_may_be_known_is_locked_at_once_and_reported_when_somebody_answers(make: Make) -> None:
    one = make("mjs")
    one.fill(1000)
    assert one.backup().outcome is Outcome.DONE
    history = (len(one.box.state.results()), len(one.box.open_home().snapshots()))
    keyed(one)
    one.now = at("2026-11-21 22:00")
    locked = answer(run(one, "credentials", "lock", "--json"))
    assert "Monday, 2026-11-24 09:00" not in locked["telephone"]
    assert "2026-11-24 09:00" in locked["telephone"], "Monday the 23rd is a holiday"
    with pytest.raises(NotAllowedNow, match=r"別紙A 5\.3"):
        one.box.gated_cloud()
    with pytest.raises(NotAllowedNow):
        one.box.open_cloud()
    found = problem(one, "matter.leak")
    assert found is not None and found.subject == locked["matter"]
    assert "at once (別紙A 5.3)" in str(found.todo) and "closed until Tuesday" in str(found.todo)
    (open_one,) = answer(run(one, "contract", "matters", "--json"))["matters"]
    assert open_one["told_at"] is None
    one.now = at("2026-11-24 09:05")
    found = problem(one, "matter.leak")
    assert found is not None and "is answered until 17:00" in str(found.todo)
    assert run(one, "contract", "told", locked["matter"]).code == 0
    same = run(one, "credentials", "set", typed=f"{SECRET}\n")
    assert "still not used" in same.out, "the same key again is no other one"
    one.now = at("2026-11-25 10:00")
    assert run(one, "credentials", "set", typed="another-secret\n").code == 0
    assert one.box.contract.against(Action.UPLOAD) is None
    assert problem(one, "matter.leak") is None
    assert [len(one.evidence(kind)) for kind in ("credentials.locked", "credentials.renewed")] == [1, 1]
    assert SECRET not in (one.folder / "state" / "evidence.jsonl").read_text()
    assert (len(one.box.state.results()), len(one.box.open_home().snapshots())) == history, "history is intact"
    assert one.backup().outcome is Outcome.DONE


def test_MJS_19_days_saturday_night_waits_for_monday() -> None:
    from appliance.contract.support import answered_from
    from appliance_services import service_profiles

    support = next(one.terms.support for one in service_profiles() if one.id == "mjs" and one.terms)
    assert support is not None
    for moment, opens in {
        "2026-05-23 22:00": "2026-05-25 09:00",
        "2026-05-25 08:59": "2026-05-25 09:00",
        "2026-05-25 09:00": "2026-05-25 09:00",
        "2026-05-25 16:59": "2026-05-25 16:59",
        "2026-05-25 17:00": "2026-05-26 09:00",
        "2026-05-02 10:00": "2026-05-07 09:00",
    }.items():
        assert answered_from(support, at(moment)) == at(opens), moment
    summer = {datetime(2026, 5, 26).date()}
    assert answered_from(support, at("2026-05-25 17:00"), summer) == at("2026-05-27 09:00")


def test_KNT_17_the_first_key_is_typed_in_and_changed_before_anything_is_sent(make: Make) -> None:
    one = make("knet")
    keyed(one, secret="")
    first = run(one, "credentials", "set", typed="from-the-paper\n")
    assert first.code == 0 and "(26-1)" in first.out
    assert "from-the-paper" not in first.out + first.err
    file = one.folder / "secrets" / "s3"
    assert file.read_text() == "from-the-paper" and file.stat().st_mode & 0o777 == 0o600
    against = one.box.contract.against(Action.UPLOAD)
    assert against is not None and against.clause == "26-1"
    assert run(one, "credentials", "set", typed="\n").code == 2
    assert run(one, "credentials", "set", typed="from-the-paper\n").code == 0
    assert one.box.contract.against(Action.UPLOAD) is not None, "unchanged"
    assert run(one, "credentials", "set", typed="my-own\n").code == 0
    assert one.box.contract.against(Action.UPLOAD) is None
    assert [entry["first"] for entry in one.evidence("credentials.set")] == [True, False, False]


def test_KNT_07_the_credit_counts_from_the_report_or_the_providers_own_knowledge(make: Make) -> None:
    one = make("knet", fees=[{"amount": 30_000, "effective_on": "2026-05-20"}])
    one.now = at("2026-06-01 08:00")
    note_outage(one.box, answers=False)
    found = problem(one, "matter.outage")
    assert found is not None and "counts from its knowledge (34)" in str(found.todo)
    one.now = at("2026-06-01 10:05")
    assert run(one, "contract", "told", found.subject, "--at", "2026-06-01T10:00").code == 0
    one.now = at("2026-06-03 15:30")
    note_outage(one.box, answers=True)
    (outage,) = answer(run(one, "contract", "matters", "--json"))["matters"]
    assert (outage["since"], outage["told_at"]) == ("2026-06-01T08:00:00+09:00", "2026-06-01T10:00:00+09:00")
    assert (outage["outage_credit"]["value"], outage["claim_until"]["value"]) == (1_000, "2026-09-02"), "KNT-05"
    claim = problem(one, "matter.credit")
    assert claim is not None and "1000 yen by 2026-09-02 (34)" in str(claim.todo)
    one.now = at("2026-06-04 09:00")
    knew = {"topic": "outage", "known_at": "2026-06-01T09:00:00+09:00", "sent_at": "2026-06-04T09:00:00+09:00"}
    one.told("notice", 1, issued_at="2026-06-04T09:00:00+09:00", **knew)
    (outage,) = answer(run(one, "contract", "matters", "--json"))["matters"]
    assert (outage["told_at"], outage["provider_knew_at"]) == (
        "2026-06-01T10:00:00+09:00",
        "2026-06-01T00:00:00+00:00",
    ), "both are kept"
    for day, told_of in (("2026-09-02 23:59", True), ("2026-09-03 00:00", False)):
        one.now = at(day)
        assert (problem(one, "matter.credit") is not None) is told_of


def test_KNT_06_a_day_of_total_outage_counts_when_it_is_full_and_a_partial_one_never(make: Make) -> None:
    one = make("knet", fees=[{"amount": 30_000, "effective_on": "2026-05-20"}])
    hours = timedelta(hours=1)
    for number, (lasted, partial, credit) in enumerate(
        ((24 * hours, (), 500), (24 * hours - timedelta(minutes=1), (), 0), (30 * hours, ("--partial",), None)), 1
    ):
        one.now = begun = at(f"2026-06-{number * 7:02} 10:00")
        assert run(one, "contract", "report", "outage", *partial).code == 0
        assert run(one, "contract", "told", f"M{number}").code == 0
        one.now = begun + lasted
        note_outage(one.box, answers=True)
        outage = answer(run(one, "contract", "matters", "--json"))["matters"][-1]
        assert outage.get("outage_credit", {}).get("value") == credit
        assert (problem(one, "matter.credit") is not None) is bool(credit)
        run(one, "contract", "settle", f"M{number}")


def test_KNT_09_an_unpaid_fee_shows_from_when_the_provider_may_terminate_and_ends_nothing(make: Make) -> None:
    one = make("knet")
    one.now = at("2026-07-05 09:00")
    unpaid = {"topic": "unpaid", "due_on": "2026-06-30", "sent_at": "2026-07-05T09:00:00+09:00"}
    one.told("notice", 1, issued_at="2026-07-05T09:00:00+09:00", **unpaid)
    for day in ("2026-07-05 09:00", "2026-08-01 00:00", "2026-12-01 00:00"):
        one.now = at(day)
        found = problem(one, "matter.unpaid")
        assert found is not None and "from 2026-08-01 on (15-1-8)" in str(found.todo)
        assert one.box.contract.standing.allowed == frozenset(Action)
    resumed = {"of": 1, "resumes_at": "2026-12-01T00:00:00+09:00", "issued_at": "2026-12-01T00:00:00+09:00"}
    one.told("resumption", 2, **resumed)
    assert problem(one, "matter.unpaid") is None, "the provider takes it back once it is paid"


def test_KNT_13_a_posted_notice_counts_from_its_posting_and_is_passed_on_to_the_users(make: Make) -> None:
    user = {"user_id": "u1", "buckets": ["one"], "mail": "u1@example.co.jp"}
    lead = {"role": "responsible_person", "name": "花田", "mail": "lead@example.co.jp"}
    one = make("knet", accounts=[user], contacts=[lead, ADMIN])
    one.now = at("2026-06-09 09:00")
    one.told("notice", 1, channel="web", sent_at="2026-06-01T12:00:00+09:00", issued_at="2026-06-09T09:00:00+09:00")
    (taken,) = one.box.agreement.directives.all_taken()
    assert taken.effective_at == at("2026-06-01 12:00")
    (notice,) = told(one, "directive.told")
    assert notice.to == ("lead@example.co.jp", "u1@example.co.jp")
    assert "2026-06-01 12:00" in str(notice.body)


def test_KNT_14_outside_japan_everything_goes_on_and_the_provider_is_written_to_in_japanese(make: Make) -> None:
    one = make("knet", site_country="SG")
    one.fill(1000)
    assert one.backup().outcome is one.do(ReplicateJob()).outcome is Outcome.DONE
    assert one.box.contract.standing.state.value == "active"
    letter = answer(run(one, "contract", "cancel", "--json"))["letter"]
    assert "解約" in letter and "notice" not in letter.lower()


def test_DNT_01_defects_can_be_reported_for_thirty_days_with_a_dated_report(make: Make, tmp_path: Path) -> None:
    one = make("dnet", delivered_on="2026-05-20", cloud_arranged_by="customer", contract_date="2026-04-01")
    one.now = at("2026-06-10 09:00")
    found = problem(one, "acceptance.open")
    assert found is not None
    for words in ("2026-06-19", "2026-06-18", "4-3"):
        assert words in str(found.what)
    report = tmp_path / "report.txt"
    written = answer(run(one, "contract", "acceptance", "--output", str(report), "--json"))
    assert (written["on"], written["last"], written["closed"]) == ("2026-06-10", "2026-06-19", False)
    assert "2026-06-10" in report.read_text() and "C-2026/17" in report.read_text()
    assert written["wanting"] == report.read_text().count("[defect]") > 0, "no daemon runs here"
    assert one.evidence("acceptance.report")[0]["on"] == "2026-06-10"
    one.now = at("2026-06-19 23:59")
    assert problem(one, "acceptance.open") is not None
    one.now = at("2026-06-20 00:00")
    assert problem(one, "acceptance.open") is None
    closed = problem(one, "acceptance.closed")
    assert closed is not None and "closed" in str(closed.what)
    assert answer(run(one, "contract", "acceptance", "--json"))["closed"] is True


@pytest.mark.parametrize(
    ("arranged_by", "to"), [("customer", "admin@example.co.jp"), ("provider", "desk@provider.example.jp")]
)
def test_DNT_03_a_virus_on_the_clouds_side_is_told_to_whoever_arranged_it(
    make: Make, arranged_by: str, to: str
) -> None:
    one = make("dnet", cloud_arranged_by=arranged_by, contacts=[ADMIN, PROVIDER])
    begun = answer(run(one, "contract", "report", "virus", "--subject", "web server", "--json"))
    (notice,) = told(one, "matter.virus")
    assert notice.to == (to,)
    assert "(6-2)" in str(notice.body) and "web server" in str(notice.body)
    assert run(one, "contract", "settle", begun["id"]).code == 0
    assert problem(one, "matter.virus") is None
    assert [entry["kind"] for entry in one.evidence("matter")] == ["virus", "virus"]


def test_DNT_12_an_enquiry_without_an_answer_is_reminded_of_and_then_a_risk(make: Make) -> None:
    one = make("dnet", contacts=[ADMIN], now=at("2026-05-20 09:00"))
    one.told("notice", 1, topic="enquiry", sent_at="2026-05-20T09:00:00+09:00", issued_at="2026-05-20T09:00:00+09:00")
    previous, days = None, []
    for number in range(34):
        one.now = at("2026-05-20 12:00") + timedelta(days=number)
        now = status(one)
        days += [
            (f"{one.now:%m-%d}", each.severity.value) for each in notices(previous, now)
            if each.code == "matter.enquiry" and each.severity.value != "info"
        ]  # fmt: skip
        previous = now
    assert days == [
        *(("05-20", "warning"), ("06-06", "warning"), ("06-13", "warning"), ("06-17", "warning")),
        *(("06-19", "warning"), ("06-20", "warning"), ("06-21", "attention")),
    ]
    found = problem(one, "matter.enquiry")
    assert found is not None and "may withdraw the service (41-3)" in str(found.what)
    assert run(one, "contract", "settle", "D1").code == 0
    assert problem(one, "matter.enquiry") is None


def test_a_lost_memory_knows_the_matters_from_the_evidence(make: Make) -> None:
    one = make("knet")
    one.now = at("2026-06-01 08:00")
    note_outage(one.box, answers=False)
    run(one, "contract", "told", "M1")
    one.box.close()
    for file in (one.folder / "state").glob("state.db*"):
        file.unlink()
    one.open()
    (outage,) = one.box.agreement.matters.known()
    assert outage.told_at == at("2026-06-01 08:00")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("told", "M9"), "There is no matter M9"),
        (("told", "M1", "--at", "tomorrow"), "no moment that has been"),
        (("told", "M1", "--at", "2026-06-02T08:00"), "no moment that has been"),
        (("told", "M1", "--at", "2026-05-31T08:00"), "began later"),
        (("report", "flood"), "flood"),
    ],
)
def test_a_wrong_word_changes_nothing(make: Make, words: tuple[str, ...], said: str) -> None:
    one = make("knet")
    one.now = at("2026-06-01 08:00")
    note_outage(one.box, answers=False)
    refused = run(one, "contract", *words)
    assert (refused.code, said in refused.err) == (2, True), refused
    assert len(one.evidence("matter")) == 1
