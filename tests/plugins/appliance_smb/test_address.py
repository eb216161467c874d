"""Addresses of shares and their settings, as people write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from appliance_smb.address import ShareAddress, parse_address, parse_server
from appliance_smb.settings import SmbSettings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("//nas/share", ShareAddress("nas", "share")),
        (r"\\NAS\共有\経理 2026", ShareAddress("NAS", "共有", ("経理 2026",))),
        ("//nas/100%/a#b", ShareAddress("nas", "100%", ("a#b",))),
        ("smb://hana@nas.local:4455/share/a/b/", ShareAddress("nas.local", "share", ("a", "b"), 4455, "hana")),
        ("SMB://192.0.2.7/share", ShareAddress("192.0.2.7", "share")),
        ("smb://[fe80::1]:445/share", ShareAddress("fe80::1", "share")),
        ("smb://nas/%E5%85%B1%E6%9C%89", ShareAddress("nas", "共有")),
    ],
)
def test_what_is_understood(text: str, expected: ShareAddress) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nas/share",
        "/nas/share",
        "//nas",
        "//nas/",
        "///share",
        "smb://",
        "https://nas/share",
        "smb://nas:0/share",
        "smb://nas:99999/share",
        "smb://nas:x/share",
        "smb://hana:secret@nas/share",
        "//nas/share/../other",
        "//nas/share/a%2Fb".replace("//", "smb://", 1),
        "//nas/share/a*",
        "//na s/share",
        "smb://nas/share?x=1",
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_address(text)
    assert "secret" not in str(raised.value)


def test_names_of_a_share() -> None:
    address = parse_address("smb://hana@NAS:4455/共有/経理")
    assert address.id == "smb://nas:4455/共有/経理", "whoever logs in"
    assert address.snapshot_path == "/smb/nas/共有/経理"
    assert address.title == "//NAS/共有/経理"
    assert parse_address("//NAS/x").id == parse_address("smb://nas:445/x").id
    assert parse_address("smb://[fe80::1]/x").id == "smb://[fe80::1]/x"


def settings(**share: Any) -> SmbSettings:
    return SmbSettings.model_validate({"shares": [share]})


def test_settings() -> None:
    (share,) = settings(url="smb://hana@nas/share", password_file="/etc/kurabako/nas").shares
    assert share.user == "hana"
    assert not share.encrypt
    (share,) = settings(url="//nas/share", username="taro", password_file="/etc/kurabako/nas").shares
    assert share.user == "taro"
    (guest,) = settings(url="//nas/share", guest=True).shares
    assert guest.user == ""
    (share,) = settings(url="//nas/x", username="taro@AD.EXAMPLE", keytab="/etc/kurabako/taro", kerberos=True).shares
    assert share.keytab == Path("/etc/kurabako/taro")


@pytest.mark.parametrize(
    ("share", "words"),
    [
        ({"url": "nas/share"}, "//server/share"),
        ({"url": "//nas/share"}, "guest = true"),
        ({"url": "//nas/share", "username": "taro"}, "say who logs in"),
        ({"url": "//nas/share", "password_file": "/etc/x"}, "say who logs in"),
        ({"url": "//nas/share", "username": "taro", "guest": True}, "a guest has no user"),
        ({"url": "//nas/share", "username": "taro", "keytab": "/etc/x"}, "kerberos = true"),
        ({"url": "//nas/share", "username": "t", "password_file": "/x", "keytab": "/y", "kerberos": True}, "leave one"),
        ({"url": "//nas/share", "username": "taro", "password_file": "/x", "kerberos": True}, "realm"),
        ({"url": "//nas/share", "password": "x"}, "password"),
        ({}, "url"),
    ],
)
def test_wrong_settings(share: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        settings(**share)
    assert words in str(raised.value)


def test_a_share_listed_twice() -> None:
    with pytest.raises(ValidationError, match="twice"):
        SmbSettings.model_validate(
            {"shares": [{"url": "//nas/share", "guest": True}, {"url": "smb://NAS/share", "guest": True}]}
        )


def test_a_server_listed_twice() -> None:
    with pytest.raises(ValidationError, match="twice"):
        SmbSettings.model_validate({"servers": [{"url": "//nas", "guest": True}, {"url": "smb://NAS", "guest": True}]})


def test_servers() -> None:
    assert parse_server("//nas").id == "smb://nas/IPC$"
    server = parse_server("smb://hana@NAS:4455")
    assert (server.server_id, server.user) == ("smb://nas:4455", "hana")
    assert server.of_share("共有").id == "smb://nas:4455/共有"
    for wrong in ("nas", "//nas/share", "smb://", "//nas?", "//", "smb://a:b@nas"):
        with pytest.raises(ValueError):
            parse_server(wrong)
