"""Directives as the box takes and keeps them: in order, once, and with evidence of all that was refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.contract.box_state import Action, BoxState
from appliance.contract.clock import ClockUntrusted
from appliance.contract.directive import MalformedDirective
from appliance.contract.files import load_profiles
from appliance.contract.signature import SignatureRefused, new_key_pair, sign
from appliance.contract.taking import Expired, NotTaken, Older, Replayed, WrongBox
from appliance.entitlements import EntitlementUnusable, KeyFileUnusable
from appliance.errors import KurabakoError
from appliance_services import PROFILES
from tests.support.contract import BOX, Place

GB = 1000**3
HOUR = timedelta(hours=1)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr("appliance.agreement.box_id", lambda: BOX)
    place = Place(tmp_path, {profile.id: profile for profile in load_profiles(PROFILES)})
    place.agreement().entitlements.install(place.provider.signed())
    yield place
    place.close()


def refused(place: Place, document: str, kind: type[KurabakoError]) -> None:
    """That the document is refused, that nothing changes, and that it is kept as evidence."""
    before = place.agreement().directives.recorded(), place.agreement().contract
    with pytest.raises(kind) as caught:
        place.agreement().directives.take(document, "test")
    if isinstance(caught.value, NotTaken):
        assert caught.value.code == f"directive.{caught.value.reason}"
    assert (place.agreement().directives.recorded(), place.agreement().contract) == before
    last = place.evidence()[-1]
    assert (last["kind"], last["payload"]["code"]) == ("directive.refused", caught.value.code)
    assert document.strip().startswith(last["payload"]["document"])


def test_a_directive_is_recorded_with_evidence_and_survives_a_restart(place: Place) -> None:
    document = place.provider.directive("suspension", starts_at="2026-05-20T10:00:00+09:00")
    taken = place.agreement().directives.take(f"{document}\n", "usb")
    assert taken.effective_at == taken.recorded.directive.starts_at  # type: ignore[attr-defined]
    (kept,) = place.agreement().directives.recorded()
    assert (kept.number, kept.way, kept.received_at) == (1, "usb", place.now)
    entry = place.evidence()[-1]
    assert (entry["kind"], entry["payload"]["document"], entry["payload"]["way"]) == ("directive", document, "usb")
    assert place.agreement().contract.standing.state is BoxState.SUSPENDED_OPERATIONAL


def test_what_is_replayed_older_foreign_forged_altered_or_late_is_refused(place: Place) -> None:
    make = place.provider.directive
    good = make("notice", number=5)
    place.agreement().directives.take(good, "test")
    refused(place, good, Replayed)
    refused(place, make("termination", number=5), Older)
    refused(place, make("termination", number=4), Older)
    refused(place, make("termination", number=6, box="0" * 32), WrongBox)
    refused(place, make("termination", number=6, contract_id="C-0"), WrongBox)
    until = (place.now - HOUR).isoformat()
    refused(place, make("termination", number=6, valid_until=until), Expired)
    next_one = make("termination", number=6)
    head, payload, signature = next_one.split(".")
    refused(place, f"{head}.{payload[:-2]}{'AA' if payload[-2:] != 'AA' else 'BB'}.{signature}", SignatureRefused)
    refused(place, sign(b"{}", new_key_pair()[0], "kurabako-directive+jws"), SignatureRefused)
    refused(place, place.provider.signed(serial=9), SignatureRefused)
    refused(place, sign(b'{"kind":"wipe"}', place.provider.keys[0], "kurabako-directive+jws"), MalformedDirective)
    refused(place, "x" * 100_000, SignatureRefused)
    assert [one.number for one in place.agreement().directives.recorded()] == [5]
    place.agreement().directives.take(next_one, "test")
    assert place.agreement().directives.is_known(next_one)
    assert place.agreement().directives.is_known(make("termination", number=4)), "nobody need look at it again"
    assert not place.agreement().directives.is_known(make("notice", number=7))


def test_without_the_providers_key_nothing_can_be_taken(place: Place) -> None:
    with pytest.raises(KeyFileUnusable):
        place.agreement(provider_key_file=None).directives.take(place.provider.directive("notice"), "test")
    assert place.agreement(provider_key_file=None).directives.recorded() == ()


def test_a_clock_that_is_wrong_takes_nothing_and_changes_nothing(place: Place) -> None:
    window = {"starts_at": "2026-05-20T11:00:00+09:00", "ends_at": "2026-05-20T15:00:00+09:00"}
    place.agreement().directives.take(place.provider.directive("suspension", **window), "test")
    assert place.agreement().contract.standing.state is BoxState.SUSPENDED_OPERATIONAL, "at 12:00"
    place.agreement().entitlements.note_moment()
    place.now -= 2 * HOUR
    standing = place.agreement().contract.standing
    assert (standing.state, standing.clock_trusted) == (BoxState.SUSPENDED_OPERATIONAL, False), "10:00 unlocks nothing"
    late = place.provider.directive("notice", number=2)
    refused(place, late, ClockUntrusted)
    place.now += 2 * HOUR
    assert not place.agreement().directives.is_known(late)
    place.agreement().directives.take(late, "test")


def test_an_altered_record_orders_nothing_and_is_logged(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    import sqlite3

    place.agreement().directives.take(place.provider.directive("amendment", effective_on="2026-05-20"), "test")
    assert place.agreement().contract.capacity == 600 * GB
    forged = sign(b"{}", new_key_pair()[0], "kurabako-directive+jws")
    with sqlite3.connect(place.folder / "state.db") as database:
        database.execute("UPDATE directives SET document = ?", (forged,))
    assert place.agreement().contract.capacity == 500 * GB
    assert "directive 1 is not as it was" in caplog.text


def test_a_lost_memory_is_told_by_the_evidence(place: Place) -> None:
    stop = place.provider.directive("suspension", suspension="provision", starts_at="2026-05-20T10:00:00+09:00")
    place.agreement().directives.take(stop, "test")
    place.agreement().entitlements.install(place.provider.signed(serial=7, capacity="200 GB"))
    older = place.provider.signed(serial=6, capacity="900 GB")
    place.close()
    for file in place.folder.glob("state.db*"):
        file.unlink()
    contract = place.agreement().contract
    assert (contract.capacity, contract.standing.state) == (200 * GB, BoxState.SUSPENDED_PROVISION)
    with pytest.raises(Older):
        place.agreement().entitlements.install(older)
    refused(place, place.provider.directive("notice", number=1), Older)
    (place.folder / "entitlement.jws").write_text(older)
    for file in place.folder.glob("state.db*"):
        file.unlink()
    assert isinstance(place.agreement().contract.refusal, EntitlementUnusable), "an older one is no spare copy"


def test_an_amendment_must_go_with_the_terms(place: Place) -> None:
    own = {"profile": "mjs", "units": 3, "capacity": None, "org_string": "acme01", "serial": 4}
    place.agreement().entitlements.install(place.provider.signed(**own))
    refused(place, place.provider.directive("amendment", capacity="250 GB"), MalformedDirective)
    day = {"effective_on": "2026-05-20"}
    place.agreement().directives.take(
        place.provider.directive("amendment", number=2, units=4, capacity=None, **day), ""
    )
    assert place.agreement().contract.capacity == 400 * GB
    place.agreement().directives.take(place.provider.directive("amendment", number=3, capacity="200 GB", **day), "")
    assert place.agreement().contract.capacity == 200 * GB
    place.agreement().entitlements.install(
        place.provider.signed(**own | {"serial": 5, "issued_at": place.now.isoformat()})
    )
    assert place.agreement().contract.capacity == 300 * GB, "a newer entitlement has all earlier amendments in it"


def test_a_new_contract_leaves_the_old_ones_directives_behind(place: Place) -> None:
    place.agreement().directives.take(place.provider.directive("termination", effective_on="2026-05-20"), "test")
    ended = place.agreement().contract
    assert ended.standing.state is BoxState.ENDED
    with pytest.raises(KurabakoError, match="2026-05-19") as caught:
        ended.require(Action.UPLOAD)
    assert caught.value.code == "contract.not-allowed"
    ended.require(Action.COLLECT)
    place.agreement().entitlements.install(place.provider.signed(serial=4, contract_id="C-NEW"))
    assert place.agreement().contract.standing.state is not BoxState.ENDED


def test_the_evidence_of_a_directive_is_whole(place: Place) -> None:
    long = place.provider.directive("notice", text="長" * 2000)
    place.agreement().directives.take(long, "test")
    assert json.loads((place.folder / "evidence.jsonl").read_bytes().splitlines()[-1])["payload"]["document"] == long
