"""Kerberos: MIT's key server, and a Samba server that knows the realm by its keytab."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import appliance_smb
from appliance.hookspecs import PluginContext
from appliance.sources.interface import FoundSource, OpenOptions, Source
from appliance_smb.announced import Announced
from appliance_smb.errors import KerberosFailed, LoginRefused
from appliance_smb.record import Known, record_in
from appliance_smb.settings import SmbSettings
from tests.support import realm as realms
from tests.support.realm import Realm, start_realm
from tests.support.smbd import ACCOUNT, Smbd, start_smbd

pytestmark = [
    pytest.mark.needs("smbd", "root", "kdc", "kadmin", "krb5-config", "gcc", "gssapi"),
    pytest.mark.xdist_group("smbd"),
]

SERVER, PASSWORD = "nas.kura.test", "合言葉 of the realm"

_OF_THE_REALM = """
    realm = {realm}
    kerberos method = dedicated keytab
    dedicated keytab file = FILE:{keytab}
"""


class Site(NamedTuple):
    """A realm, and a file server that belongs to it; the server's own password for the user is another."""

    realm: Realm
    smbd: Smbd
    user_keys: Path


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with ExitStack() as stack:
        realm = stack.enter_context(start_realm())
        keytab = realm.add_server(SERVER)
        realm.add_user(ACCOUNT, PASSWORD)
        more = _OF_THE_REALM.format(realm=realms.NAME, keytab=keytab)
        server = stack.enter_context(start_smbd(usual_port=True, more=more))
        (server.share / "見積書.txt").write_text("内容")
        server.give(server.share)
        yield Site(realm, server, realm.keytab(ACCOUNT))


class Box:
    """A box of the site: its settings name the server, whose address is known from what it announced."""

    def __init__(self, site: Site, folder: Path, **account: Any) -> None:
        self.state = folder / "state"
        self.state.mkdir(exist_ok=True)
        self.password = folder / "password"
        if not self.password.exists():
            self.set_password(PASSWORD)
        table = {"url": f"//{SERVER}", "username": ACCOUNT, "domain": realms.NAME.lower(), "kerberos": True}
        table |= account
        if "keytab" not in table:
            table["password_file"] = str(self.password)
        settings = SmbSettings.model_validate({"servers": [table], "own_shares": False, "timeout": 10})
        self.context = PluginContext({"smb": settings}, self.state, self.state)
        record_in(self.state).write(Known((Announced(SERVER, SERVER, (site.smbd.address,)),)))

    def set_password(self, password: str) -> None:
        self.password.write_text(password)
        self.password.chmod(0o600)

    def sources(self) -> dict[str, FoundSource]:
        return {one.id: one for one in appliance_smb.discover_sources(self.context)}

    def open(self, share: str) -> Source:
        source = appliance_smb.open_source(
            self.context, FoundSource(f"smb://{SERVER}/{share}", "smb", share), OpenOptions()
        )
        assert source is not None
        return source


@pytest.fixture(autouse=True)
def in_the_realm(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5_CONFIG", str(site.realm.config))


@pytest.mark.parametrize("share", ["share", "encrypted"])
def test_with_the_password_of_the_realm(site: Site, tmp_path: Path, share: str) -> None:
    box = Box(site, tmp_path)
    assert f"smb://{SERVER}/share" in box.sources(), "its shares are listed"
    source = box.open(share)
    (entry,) = source.scandir(())
    assert entry.name.decode() == "見積書.txt"
    source.close()


def test_with_a_keytab(site: Site, tmp_path: Path) -> None:
    box = Box(site, tmp_path, keytab=str(site.user_keys))
    assert f"smb://{SERVER}/share" in box.sources()
    box.open("share").close()


def test_without_kerberos_the_realm_is_not_asked(site: Site, tmp_path: Path) -> None:
    """The server's own password works then, and that of the realm does not: nobody tries both."""
    box = Box(site, tmp_path, kerberos=False, domain="")
    with pytest.raises(LoginRefused):
        box.open("share")
    box.set_password(site.smbd.password)
    box.open("share").close()


def test_a_wrong_password_is_tried_once(site: Site, tmp_path: Path) -> None:
    box = Box(site, tmp_path)
    box.set_password("wrong")
    with pytest.raises(LoginRefused, match="password is wrong"):
        box.open("share")
    with pytest.raises(LoginRefused, match="not tried again before"):
        box.open("encrypted")
    box.set_password(PASSWORD)
    box.open("share").close()


def test_what_stands_in_the_way_is_said(site: Site, tmp_path: Path) -> None:
    for account, words in (
        ({"domain": "ELSE.TEST"}, "no key server of the realm"),
        ({"url": f"//{site.smbd.address}"}, "knows no server of this name"),
        ({"keytab": str(site.realm.keytab(f"cifs/{SERVER}"))}, "holds no key of this user"),
        ({"keytab": "/not/there"}, "Kerberos"),
    ):
        box = Box(site, tmp_path, **account)
        (told,) = box.sources().values()
        assert not told.collectable and words in str(told.why_not), account
    box = Box(site, tmp_path, domain="ELSE.TEST")
    for _ in range(2):
        with pytest.raises(KerberosFailed):  # no password was found wrong, and so nobody has to wait
            box.open("share")
