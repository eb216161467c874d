"""Whom the customer lets in, what leaves the box for the provider, and what is known before the end."""

from __future__ import annotations

import hashlib
import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.contract.box_state import Action
from appliance.daemon.ending import EndOfContract
from appliance.daemon.requests import ReplicateJob
from appliance.status.model import Outcome
from tests.daemon.test_contract_matters import at, keyed, problem, run
from tests.daemon.test_contracted_box import Contracted, make
from tests.support.commands import answer
from tests.support.contract import Provider, fields
from tests.support.daemon import BoxUnderTest, Served, eventually
from tests.support.operator import new_code

__all__ = ["make"]

Make = Callable[..., Contracted]
LISTED, TORN = "latest:/給与/賞与 2026.xlsx", "snapshots 'open"
OFFICER = {"role": "information_officer", "name": "情報 太郎"}


def post(served: Served, **form: str) -> str:
    port = served.box.tables["web"]["port"]
    url = f"http://127.0.0.1:{port}/support"
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, {"Origin": f"http://127.0.0.1:{port}"})) as answered:
        text: str = answered.read().decode()
    return text


def tried(served: Served, **form: str) -> str | None:
    """`post`, or None while a wrong code makes others wait."""
    try:
        return post(served, **form)
    except urllib.error.HTTPError as error:
        assert error.code == 429
        return None


def test_NO1_17_remote_support_works_with_consent_on_the_page_for_a_time_and_every_command_is_recorded(
    tmp_path: Path,
) -> None:
    provider = Provider(tmp_path)
    box = BoxUnderTest.make(tmp_path / "box", contract={"provider_key_file": provider.key_file})
    box.set_up()
    (tmp_path / "no1.jws").write_text(
        provider.signed(**fields(profile="no1", box=box.json("contract", "show", code=1)["box"]))
    )
    assert box.run("contract", "install", str(tmp_path / "no1.jws")).code == 0

    def support(*words: str) -> int:
        return box.run("support", "run", *words).code

    with box.serving() as served:
        refused = box.run("support", "run", "snapshots")
        assert (refused.code, "not allowed now" in refused.err) == (1, True)
        with pytest.raises(urllib.error.HTTPError, match="403"):
            post(served, name="Hanada", minutes="60", code="AAAA-AAAA-AAAA")
        code = new_code(box)
        with pytest.raises(urllib.error.HTTPError, match="422"):
            post(served, name="", minutes="60", code=code)
        url = f"http://127.0.0.1:{box.tables['web']['port']}/support"
        foreign = urllib.request.Request(url, b"name=x&minutes=5", {"Origin": "http://elsewhere.example"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(foreign)
        assert support("snapshots") == 1
        with pytest.raises(urllib.error.HTTPError, match="403"):
            post(served, name="Hanada", minutes="60")
        assert support("snapshots") == 1
        shown = eventually(lambda: tried(served, name="Hanada", minutes="60", code=code), "the wait is over")
        assert "Hanada" in shown
        assert support("snapshots") == 0
        assert support("contract", "calendar") == 0
        assert support("recovery-sheet") == 1, "secrets are not for support"
        assert support("operator-code", "--renew") == 1, "nor is the consent itself"
        assert support("ls", LISTED, "-l") == 1
        torn = ("env", f"SSH_ORIGINAL_COMMAND={TORN}")
        assert box.run("support", "run", prefix=torn).code != 0, "and no traceback"
        assert "support.allowed" in {found["code"] for found in box.json("status")["problems"]}
        post(served, end="1", code=code)
        assert support("snapshots") == 1
        post(served, name="Hanada", minutes="60", code=code)
    evidence = [json.loads(line) for line in (tmp_path / "box" / "state" / "evidence.jsonl").read_bytes().splitlines()]
    kinds = [entry["kind"].removeprefix("support.") for entry in evidence if entry["kind"].startswith("support.")]
    assert kinds == [
        *("refused", "refused", "refused", "allowed", "command", "command-ended", "command", "command-ended"),
        *("refused", "refused", "command", "command-ended", "command", "command-ended", "ended", "refused", "allowed"),
    ]
    words = [entry["payload"]["words"] for entry in evidence if entry["kind"] == "support.command"]
    digests = [f"sha256:{hashlib.sha256(word.encode()).hexdigest()}" for word in (LISTED, TORN)]
    assert words == [["snapshots"], ["contract", "calendar"], ["ls", digests[0], "-l"], [digests[1]]]
    assert "賞与" not in json.dumps(evidence, ensure_ascii=False), "what was typed may name a customer's file"


def test_what_was_allowed_ends_with_its_time(make: Make) -> None:
    one = make("no1", capacity="9 MB")
    one.now = at("2026-06-10 10:00")
    one.box.agreement.support.allow("花田", 30)
    for moment, allowed in (("10:29", True), ("10:30", False), ("09:59", False)):
        one.now = at(f"2026-06-10 {moment}")
        assert answer(run(one, "support", "status", "--json"))["allowed"] is allowed
    one.now = at("2026-06-10 10:15")
    assert one.box.agreement.support.allow("花田", 100_000).until == at("2026-06-10 18:15"), "eight hours at most"


def test_DNT_15_diagnostics_leave_with_a_consent_each_copy_is_counted_and_its_destruction_certified(
    make: Make, tmp_path: Path
) -> None:
    one = make("dnet", contacts=[OFFICER])
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    given = ("--consent", "R-1", "--officer", "情報 太郎")
    for words in ((), ("--officer", "情報 太郎"), ("--consent", "R-1"), ("--consent", "R-1", "--officer", "X")):
        refused = run(one, "diagnostics", "export", str(first), *words)
        assert (refused.code, "(34)" in refused.err) == (1, True), words
        assert not first.exists()
    assert len(one.evidence("diagnostics.refused")) == 4
    assert answer(run(one, "diagnostics", "export", str(first), *given, "--json"))["copies_out"] == 1
    assert answer(run(one, "diagnostics", "export", str(second), *given, "--json"))["copies_out"] == 2
    document = json.loads(first.read_text())
    assert (document["copy"], document["consent"], document["contains_personal_data"]) == (1, "R-1", False)
    assert "機密" in document["marking"] and document["confidential_for"] == "unlimited"
    assert first.stat().st_mode & 0o777 == 0o600
    assert (one.folder / "password").read_text().strip() not in first.read_text()
    assert run(one, "diagnostics", "export", str(first), *given).code == 1, "overwrites nothing"
    certificate = answer(run(one, "diagnostics", "destroy", "1", "--json"))
    assert certificate["copies_out"] == 1 and not first.exists()
    for words in ("Certificate", "Copy number 1", "R-1", "still out: 1"):
        assert words in certificate["letter"], words
    assert run(one, "diagnostics", "destroy", "1").code == 2
    listed = answer(run(one, "diagnostics", "copies", "--json"))
    assert [bool(copy["destroyed_at"]) for copy in listed["copies"]] == [True, False]
    assert [entry["out"] for entry in one.evidence("diagnostics.copy")] == [1, 2]


@pytest.mark.parametrize(("service", "purpose", "code"), [("ksg", "", 1), ("ksg", "33-ア", 0), ("mjs", "", 0)])
def test_what_diagnostics_are_for_is_said_where_the_terms_ask(
    make: Make, tmp_path: Path, service: str, purpose: str, code: int
) -> None:
    one = make(service, **({"capacity": "9 MB"} if service == "ksg" else {}))
    words = ("--purpose", purpose) if purpose else ()
    assert run(one, "diagnostics", "export", str(tmp_path / "x.json"), *words).code == code


def test_KNT_11_before_the_end_people_are_reminded_and_know_what_is_missing_and_then_it_is_erased_at_once(
    make: Make,
) -> None:
    one = make("knet", accounts=[{"user_id": "u1", "buckets": ["cloud"]}])
    one.fill(50_000)
    assert one.backup().outcome is one.do(ReplicateJob()).outcome is Outcome.DONE
    whole = run(one, "contract", "export-check")
    assert (whole.code, "Everything in the cloud is in the vault too: 1 snapshots" in whole.out) == (0, True)
    shutil.rmtree(one.folder / "vault" / "snapshots")
    missing = run(one, "contract", "export-check", "--json")
    assert (missing.code, json.loads(missing.out)["complete"]) == (3, False)
    assert len(json.loads(missing.out)["missing_snapshots"]) == 1
    assert [entry["complete"] for entry in one.evidence("export.completeness")] == [True, False]
    one.now = at("2026-07-01 09:00")
    ends = {"by": "customer", "effective_on": None, "ends_on": "2026-10-31", "confirmed_on": "2026-07-01"}
    one.told("termination", 1, issued_at="2026-07-01T09:00:00+09:00", **ends)
    reminded = []
    for day in ("08-31", "09-01", "10-01", "10-24", "10-30"):
        one.now = at(f"2026-{day} 09:00")
        found = problem(one, "ending.reminder")
        reminded.append(found.subject if found is not None else "")
    assert reminded == ["", "01", "02", "03", "04"]
    keyed(one)
    secret = one.folder / "secrets" / "s3"
    one.now = at("2026-10-31 23:59")
    EndOfContract(one.box).look(one.box.contract)
    assert secret.exists()
    one.now = at("2026-11-01 00:00")
    contract = one.box.contract
    assert contract.against(Action.UPLOAD, "s3:https://h/cloud") is not None, "u1 may nothing more"
    assert contract.against(Action.CLOUD_RESTORE, "s3:https://h/cloud") is not None
    EndOfContract(one.box).look(contract)
    assert not secret.exists(), "at once"
    (record,) = one.evidence("contract.erased")
    assert record["clause"] == "17-1"
