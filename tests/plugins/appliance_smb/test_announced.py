"""What machines say of themselves, made fit to be shown; the box's own Samba shares."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import appliance_smb
from appliance.hookspecs import PluginContext
from appliance.sources.interface import FoundSource, OpenOptions, SourceNotFound
from appliance.text import T, add_catalogues, visible
from appliance_smb import soap
from appliance_smb.address import parse_server
from appliance_smb.announced import Announced, announced, merged
from appliance_smb.offered import offered
from appliance_smb.own_shares import found_sources, own_shares, parse
from appliance_smb.record import Known, Listed, ListedShare, Record, record_in
from appliance_smb.settings import SmbSettings

ID = UUID(int=7)


def test_names_are_cleaned_and_only_other_machines_count() -> None:
    assert announced("nas.local.", "蔵\x1b[2J の NAS\n", ["192.168.1.5"]) == Announced(
        "nas.local", "蔵\\x1b[2J の NAS", ("192.168.1.5",)
    )
    assert announced("経理PC", "", ["192.168.1.6"]) == Announced("192.168.1.6", "経理PC", ("192.168.1.6",))
    nowhere = ["127.0.0.1", "::1", "0.0.0.0", "224.0.0.1", "nonsense", ""]
    assert announced("nas", "nas", nowhere) is None
    assert announced("nas", "nas", ["10.0.0.1"], 0) is None
    many = announced("x" * 300, "長" * 300, [f"10.0.0.{n}" for n in range(1, 99)])
    assert many is not None and (len(many.host), len(many.title), len(many.addresses)) == (8, 64, 4)


@given(st.text(), st.text(), st.lists(st.text() | st.ip_addresses().map(str), max_size=9), st.integers(-1, 99999))
def test_whatever_is_announced_can_be_named_in_the_settings(
    host: str, title: str, addresses: list[str], port: int
) -> None:
    one = announced(host, title, addresses, port)
    if one is None:
        return
    assert visible(one.title) == one.title and one.is_called(one.host)
    (source,) = offered(SmbSettings(), Known((one,)))
    assert not source.collectable
    assert one.is_called(parse_server(str(source.why_not).rpartition(" ")[2]).server)


def test_a_server_that_announces_itself_twice_is_one() -> None:
    nas = Announced("nas.local", "蔵の NAS", ("10.0.0.1", "fe80::1"))
    assert merged([Announced("NAS", "NAS", ("10.0.0.2",)), nas]) == (
        Announced("nas.local", "蔵の NAS", ("10.0.0.1", "fe80::1", "10.0.0.2")),
    )
    assert merged([Announced("10.0.0.1", "経理PC", ("10.0.0.1",)), nas]) == (nas,)
    assert merged([Announced("b", "b", ("10.0.0.3",)), nas])[0].host == "b"


def test_what_is_offered_says_in_both_languages_what_to_do() -> None:
    add_catalogues(Path(appliance_smb.__file__).parent / "locale")
    account = {"guest": True}
    settings = SmbSettings.model_validate(
        {"servers": [{"url": "//nas", **account}], "shares": [{"url": "//nas/共有", "title": "総務", **account}]}
    )
    listed = Listed((ListedShare("共有"), ListedShare("経理", "備考")))
    strangers = (Announced("nas.local", "NAS", ("10.0.0.1",)), Announced("fe80::2%eth0", "PC", ("fe80::2%eth0",)))
    found = {one.id: one for one in offered(settings, Known(strangers, {"smb://nas": listed}))}
    assert [one.title for one in found.values()] == ["総務", "//nas/経理", "PC"], "a named share as it was named"
    why_not = found["smb-server:fe80::2%eth0"].why_not
    assert why_not is not None
    assert "//[fe80::2%eth0]" in why_not.render("en") and "[[smb.servers]]" in why_not.render("ja")
    assert why_not.render("ja") != why_not.render("en")


def test_two_servers_of_one_machine_are_told_apart_when_neither_lists_its_shares() -> None:
    named = [{"url": "smb://nas:4455", "guest": True}, {"url": "//nas", "guest": True}]
    away = Listed(trouble=T("it does not answer").to_json())
    known = Known((), {"smb://nas:4455": away, "smb://nas": away})
    found = offered(SmbSettings.model_validate({"servers": named}), known)
    assert [one.id for one in found] == ["smb-server:nas:4455", "smb-server:nas"]


def test_what_was_announced_is_offered_as_long_as_somebody_listens(tmp_path: Path) -> None:
    context = PluginContext({"smb": SmbSettings(own_shares=False)}, tmp_path, tmp_path)
    heard = (Announced("nas.local", "蔵", ("10.0.0.1",)),)
    for at, ids in ((time.time(), ["smb-server:nas.local"]), (time.time() - 86400, [])):
        record_in(tmp_path).write(Known(heard, at=at))
        assert [one.id for one in appliance_smb.discover_sources(context)] == ids


def test_a_record_that_is_damaged_begins_anew(tmp_path: Path) -> None:
    record = Record(tmp_path / "smb" / "servers.json")
    known = Known((Announced("nas", "蔵", ("10.0.0.1",)),), {"smb://nas": Listed((ListedShare("共有", "備"),))}, 7.0)
    assert record.read() == Known()
    record.write(known)
    assert record.read() == known
    assert (known.address_of("NAS.local"), known.address_of("other")) == ("10.0.0.1", "")
    (tmp_path / "smb" / "servers.json").write_text('{"announced": 7}')
    assert record.read() == Known()


@given(st.binary(max_size=300))
def test_any_message_is_one_or_none(data: bytes) -> None:
    for read in (soap.parse, soap.computer_name):
        try:
            read(data)
        except ValueError:
            pass


def test_messages_with_a_document_type_are_refused() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]>' + soap.probe(ID).partition(b"?>")[2]
    with pytest.raises(ValueError, match="SOAP does not allow"):
        soap.parse(bomb)
    assert soap.parse(soap.probe(ID)) == [], "a question is no answer"
    assert b"urn:uuid:&lt;" in soap.get(ID, "urn:uuid:<")
    with pytest.raises(ValueError, match="too long"):
        soap.parse(b" " * (soap.LARGEST + 1))


_CONFIGURATION = """
[global]
    workgroup = OFFICE
[homes]
    path = /home/%S
[printers]
    path = /var/tmp
    printable = Yes
[経理 資料]
    comment = 決算
    path = {folder}
[mine]
    path = /srv/%U
[gone]
    path = {folder}/gone
"""


@pytest.mark.needs("smbd")
def test_the_shares_of_the_box_itself_are_read_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "資料"
    folder.mkdir()
    (folder / "a.txt").write_text("x")
    config = tmp_path / "smb.conf"
    config.write_text(_CONFIGURATION.format(folder=folder))
    shares = own_shares(config)
    assert [(one.id, one.comment) for one in shares] == [("samba:経理 資料", "決算"), ("samba:gone", "")]
    there, gone = found_sources(shares, ())
    assert there.collectable and not gone.present and not gone.collectable
    (own, _) = found_sources(shares, (folder / "vault",))
    assert not own.collectable and "its own data" in str(own.why_not)

    monkeypatch.setattr(appliance_smb, "own_shares", lambda: shares)
    settings = SmbSettings.model_validate({"discover": False})
    context = PluginContext({"smb": settings}, tmp_path / "none", tmp_path / "none")
    found = list(appliance_smb.discover_sources(context))
    assert [one.id for one in found] == ["samba:経理 資料", "samba:gone"]
    source = appliance_smb.open_source(context, found[0], OpenOptions())
    assert source is not None
    assert [entry.name for entry in source.scandir(())] == [b"a.txt"]
    assert source.snapshot_path == str(folder)
    source.close()
    with pytest.raises(SourceNotFound, match="not in Samba's configuration"):
        appliance_smb.open_source(context, FoundSource("samba:old", "samba", "old"), OpenOptions())


@given(st.text(max_size=200))
def test_any_configuration_is_read_or_let_be(text: str) -> None:
    for share in parse(text):
        assert share.path.is_absolute()
