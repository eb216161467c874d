"""The contract of a box: what its settings say, or what its provider signed; and nothing in between."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.agreement import UnknownProfile
from appliance.contract.clock import ClockUntrusted
from appliance.contract.entitlement import MalformedEntitlement
from appliance.contract.profile import Meter, ServiceProfile
from appliance.contract.signature import SignatureRefused
from appliance.contract.taking import Expired, NotTaken, NotYetValid, Older, WrongBox
from appliance.entitlements import EntitlementUnusable, KeyFileUnusable, NoEntitlement
from appliance.errors import KurabakoError
from appliance.identity import NoIdentity, box_id
from tests.support.contract import BOX, Place, Provider

GB = 1000**3
PROFILES = {
    "standard": ServiceProfile(id="standard", name_en="Standard", name_ja="標準"),
    "other": ServiceProfile(id="other", name_en="Other", name_ja="別"),
    "open": ServiceProfile(id="open", name_en="Open", name_ja="無制限", meter=Meter.NONE),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr("appliance.agreement.box_id", lambda: BOX)
    place = Place(tmp_path, PROFILES)
    yield place
    place.close()


def test_without_a_provider_the_settings_rule_and_nothing_is_begun(place: Place) -> None:
    contract = place.agreement(provider_key_file=None, capacity="2 GB").contract
    assert (contract.capacity, contract.reserve, contract.profile.id) == (2 * GB, 20 * 1000**2, "standard")
    assert (contract.entitlement, contract.refusal) == (None, None)
    assert not place.folder.exists()
    with pytest.raises(UnknownProfile):
        _ = place.agreement(provider_key_file=None, profile="nobodys").contract


def test_with_a_provider_and_no_entitlement_nothing_may_be_stored(place: Place) -> None:
    contract = place.agreement(capacity="2 TB").contract
    assert contract.capacity == 0
    assert isinstance(contract.refusal, NoEntitlement)
    assert not place.folder.exists()


def test_an_installed_entitlement_says_profile_and_capacity(place: Place) -> None:
    done = place.agreement().entitlements.install(place.provider.signed(profile="other") + "\n")
    assert done.new
    contract = place.agreement().contract
    assert (contract.profile.id, contract.capacity, contract.reserve) == ("other", 500 * GB, GB)
    assert contract.entitlement == done.entitlement
    assert place.kinds() == ["entitlement.installed"]
    assert not place.agreement().entitlements.install(place.provider.signed(profile="other")).new
    assert place.kinds() == ["entitlement.installed"], "nothing new happened"


@pytest.mark.parametrize(("said", "granted"), [("2 TB", 500 * GB), ("100 GB", 100 * GB), (None, 500 * GB)])
def test_the_settings_can_only_lower_the_capacity(place: Place, said: str | None, granted: int) -> None:
    place.agreement().entitlements.install(place.provider.signed())
    assert place.agreement(capacity=said).contract.capacity == granted


def test_a_reserve_in_the_settings_fits_into_a_smaller_entitlement(place: Place) -> None:
    place.agreement().entitlements.install(place.provider.signed(capacity="1 GB"))
    assert place.agreement(reserve="5 GB").contract.reserve == GB


def test_a_contract_without_capacity_has_no_limit(place: Place) -> None:
    place.agreement().entitlements.install(place.provider.signed(profile="open", capacity=None))
    assert place.agreement().contract.capacity is None


REFUSED: list[tuple[dict[str, Any], type[KurabakoError]]] = [
    ({"box": "0" * 32}, WrongBox),
    ({"profile": "nobodys"}, MalformedEntitlement),
    ({"capacity": None}, MalformedEntitlement),
    ({"serial": 5}, Older),
    ({"serial": 4}, Older),
    ({"serial": 6, "issued_at": "2026-05-21T00:00:00+09:00"}, NotYetValid),
    ({"serial": 6, "valid_from": "2026-05-21T00:00:00+09:00"}, NotYetValid),
    ({"serial": 6, "valid_until": "2026-05-20T09:00:00+09:00"}, Expired),
]


@pytest.mark.parametrize(("changes", "error"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_is_refused_changes_nothing_and_is_kept_as_evidence(
    place: Place, changes: dict[str, Any], error: type[KurabakoError]
) -> None:
    place.agreement().entitlements.install(place.provider.signed(serial=5, capacity="7 GB"))
    before = place.agreement().contract
    document = place.provider.signed(**changes)
    with pytest.raises(error) as caught:
        place.agreement().entitlements.install(document)
    if isinstance(caught.value, NotTaken):
        assert caught.value.code == f"contract.{caught.value.reason}"
    assert place.agreement().contract == before
    assert place.kinds() == ["entitlement.installed", "entitlement.refused"]
    kept = json.loads((place.folder / "evidence.jsonl").read_bytes().splitlines()[-1])["payload"]
    assert (kept["code"], kept["document"]) == (caught.value.code, document)


def test_a_strangers_and_an_altered_entitlement_are_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "stranger").mkdir()
    forged = Provider(tmp_path / "stranger").signed(capacity="900 TB")
    head, _, signature = place.provider.signed().split(".")
    for document in (forged, f"{head}.{forged.split('.')[1]}.{signature}", "", "x" * 1_000_000, "蔵箱\udcff"):
        with pytest.raises(SignatureRefused):
            place.agreement().entitlements.install(document)
    assert isinstance(place.agreement().contract.refusal, NoEntitlement)
    assert place.kinds() == ["entitlement.refused"] * 5
    assert place.agreement().evidence.verify().sequence == 5


def _edit(place: Place, **changes: Any) -> None:
    """Edits what the box remembers of its entitlement, as somebody with the file would."""
    with sqlite3.connect(place.folder / "state.db") as connection:
        row = connection.execute("SELECT value FROM \"values\" WHERE key = 'contract.in-force'").fetchone()
        edited = json.dumps(json.loads(row[0]) | changes)
        connection.execute("UPDATE \"values\" SET value = ? WHERE key = 'contract.in-force'", (edited,))
    connection.close()


def test_editing_files_raises_no_capacity(place: Place, tmp_path: Path) -> None:
    old = place.provider.signed(serial=4, capacity="900 GB")
    place.agreement().entitlements.install(old)
    now = place.provider.signed(serial=5, capacity="7 GB")
    place.agreement().entitlements.install(now)
    (tmp_path / "stranger").mkdir()
    forged = Provider(tmp_path / "stranger").signed(serial=5, capacity="900 TB")
    for document in (old, forged, now[:-5], ""):
        _edit(place, document=document)
        contract = place.agreement(capacity="900 TB").contract
        assert contract.capacity == 0
        assert isinstance(contract.refusal, EntitlementUnusable)
    assert place.agreement().entitlements.install(now).entitlement.capacity == 7 * GB, "the true one mends it"
    assert place.agreement(capacity="900 TB").contract.capacity == 7 * GB
    unpinned = place.agreement(provider_key_file=None, capacity="900 TB").contract
    assert unpinned.capacity == 0
    assert "provider_key_file" in str(unpinned.refusal)


def test_it_survives_the_loss_of_the_boxs_memory(place: Place) -> None:
    place.agreement().entitlements.install(place.provider.signed())
    lose_memory(place)
    assert place.agreement().contract.capacity == 500 * GB
    (place.folder / "entitlement.jws").unlink()
    assert isinstance(place.agreement().contract.refusal, NoEntitlement)


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_key_that_others_could_change_is_not_trusted(place: Place, mode: int) -> None:
    place.agreement().entitlements.install(place.provider.signed())
    place.provider.key_file.chmod(mode)
    assert isinstance(place.agreement().contract.refusal, KeyFileUnusable)
    with pytest.raises(KeyFileUnusable):
        place.agreement().entitlements.install(place.provider.signed(serial=9))


@pytest.mark.parametrize("content", [b"", b"words"])
def test_a_key_file_without_a_key_is_said_to_be_so(place: Place, content: bytes) -> None:
    place.provider.key_file.write_bytes(content)
    with pytest.raises(KeyFileUnusable, match=r"provider\.pub"):
        place.agreement().entitlements.install(place.provider.signed())
    place.provider.key_file.unlink()
    file = place.folder / "nothing"
    assert isinstance(place.agreement(provider_key_file=file).contract.refusal, NoEntitlement)
    with pytest.raises(KeyFileUnusable, match="nothing"):
        place.agreement(provider_key_file=file).entitlements.install(place.provider.signed())


def test_turning_the_clock_back_revives_nothing(place: Place) -> None:
    limited = place.provider.signed(serial=9, valid_until="2026-05-25T00:00:00+00:00")
    place.now = datetime(2026, 6, 1, tzinfo=UTC)
    assert place.agreement().entitlements.look_at_clock() is None
    with pytest.raises(Expired):
        place.agreement().entitlements.install(limited)
    place.now = datetime(2026, 5, 24, tzinfo=UTC)
    assert isinstance(place.agreement().entitlements.look_at_clock(), ClockUntrusted)
    with pytest.raises(ClockUntrusted):
        place.agreement().entitlements.install(limited)


def test_a_clock_turned_back_revives_nothing_on_a_box_that_lost_its_memory_too(place: Place) -> None:
    first = place.provider.signed(serial=1, capacity="900 GB")
    limited = place.provider.signed(serial=9, valid_until="2026-05-25T00:00:00+00:00")
    place.agreement().entitlements.install(first)
    place.agreement().entitlements.install(place.provider.signed(serial=2))
    place.now = datetime(2026, 6, 1, tzinfo=UTC)
    assert place.agreement().entitlements.look_at_clock() is None
    lose_memory(place)
    place.now = datetime(2026, 5, 21, tzinfo=UTC)
    _, trusted = place.agreement().entitlements.present()
    assert not trusted
    with pytest.raises(ClockUntrusted):
        place.agreement().entitlements.install(limited)
    place.now = datetime(2026, 6, 2, tzinfo=UTC)
    lose_memory(place)
    with pytest.raises(Older):
        place.agreement().entitlements.install(first)
    assert place.agreement().contract.capacity == 500 * GB


def test_a_clock_that_the_provider_mended_stays_so_without_memory(place: Place) -> None:
    right = place.now
    place.now = datetime(2099, 1, 1, tzinfo=UTC)
    place.agreement().entitlements.look_at_clock()
    place.now = right
    place.agreement().entitlements.install(place.provider.signed(serial=2, resets_clock=True))
    lose_memory(place)
    assert place.agreement().entitlements.look_at_clock() is None


def lose_memory(place: Place) -> None:
    place.close()
    for file in place.folder.glob("state.db*"):
        file.unlink()


def test_an_untrusted_clock_takes_nothing_away(place: Place) -> None:
    place.agreement().entitlements.install(place.provider.signed(valid_until="2026-06-20T00:00:00+00:00"))
    place.agreement().entitlements.look_at_clock()
    for now in (datetime(1970, 1, 1, tzinfo=UTC), place.now - timedelta(days=3), datetime(2040, 1, 1, tzinfo=UTC)):
        place.now = now
        assert place.agreement().contract.capacity == 500 * GB, now


def test_the_provider_can_mend_a_clock_that_once_ran_ahead(place: Place) -> None:
    right = place.now
    place.now = datetime(2099, 1, 1, tzinfo=UTC)
    place.agreement().entitlements.look_at_clock()
    place.now = right
    with pytest.raises(ClockUntrusted):
        place.agreement().entitlements.install(place.provider.signed(serial=1))
    place.agreement().entitlements.install(place.provider.signed(serial=2, resets_clock=True))
    assert place.agreement().entitlements.look_at_clock() is None
    assert place.agreement().contract.capacity == 500 * GB


def test_a_box_has_one_id_that_tells_nothing_of_the_machine(tmp_path: Path) -> None:
    with pytest.raises(NoIdentity):
        box_id(tmp_path)
    (tmp_path / "etc").mkdir()
    for unusable in ("", "uninitialized\n", "0" * 32):
        (tmp_path / "etc" / "machine-id").write_text(unusable)
        with pytest.raises(NoIdentity):
            box_id(tmp_path)
    (tmp_path / "etc" / "machine-id").write_text(f"{BOX}\n")
    by_machine = box_id(tmp_path)
    assert by_machine == box_id(tmp_path) != BOX
    assert len(bytes.fromhex(by_machine)) == 16
    tree = tmp_path / "sys" / "firmware" / "devicetree" / "base"
    tree.mkdir(parents=True)
    (tree / "serial-number").write_bytes(b"0000000000000000\0")
    assert box_id(tmp_path) == by_machine, "a board without a serial number"
    (tree / "serial-number").write_bytes(b"10000000a1b2c3d4\0")
    assert box_id(tmp_path) != by_machine
