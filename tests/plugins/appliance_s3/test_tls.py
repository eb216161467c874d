"""Certificates: a private authority, a wrong name, a wrong time, no TLS at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.storage.interface import Unreachable
from appliance_s3.storage import S3Storage
from tests.plugins.appliance_s3.bad_server import STORED, BadServer
from tests.storage.conformance import PACK
from tests.support.authority import Authority

Connect = Callable[..., S3Storage]
Serve = Callable[..., BadServer]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_private_authority_is_trusted_when_named(
    authority: Authority, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")  # what is named here comes first
    server = serve(STORED, tls=authority.server())
    connect(server, ca_file=str(authority.file)).put(PACK, b"x")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("options", "named", "reason"),
    [
        ({}, False, "unable to get local issuer certificate"),
        ({"address": "127.0.0.2"}, True, "IP address mismatch"),
        ({"days": (-10, -5)}, True, "certificate has expired"),
        ({"days": (5, 10)}, True, "certificate is not yet valid"),
    ],
)
def test_a_bad_certificate_is_told_and_nothing_is_sent(
    authority: Authority, serve: Serve, connect: Connect, options: dict[str, object], named: bool, reason: str
) -> None:
    server = serve(STORED, tls=authority.server(**options))  # type: ignore[arg-type]
    storage = connect(server, **({"ca_file": str(authority.file)} if named else {}))
    with pytest.raises(Unreachable, match=reason) as caught:
        storage.put(PACK, b"x")
    assert "Nothing was sent." in str(caught.value)
    assert not caught.value.transient
    assert server.requests == []


def test_https_to_a_server_without_it(serve: Serve, connect: Connect) -> None:
    server = serve(STORED)
    server.scheme = "https"
    with pytest.raises(Unreachable, match="does not speak HTTPS") as caught:
        connect(server).put(PACK, b"x")
    assert not caught.value.transient
