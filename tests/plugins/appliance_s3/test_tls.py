"""Certificates: a private authority, a wrong name, a wrong time, no TLS at all."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.storage.interface import Unreachable
from appliance_s3.storage import S3Storage
from tests.plugins.appliance_s3.bad_server import STORED, BadServer
from tests.storage.conformance import PACK

Connect = Callable[..., S3Storage]
Serve = Callable[..., BadServer]


class Authority:
    """A private certificate authority with its file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=365))
            .not_valid_after(now + timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, address: str = "127.0.0.1", days: tuple[int, int] = (-1, 1)) -> ssl.SSLContext:
        """TLS for a server at `address`, with a certificate valid for `days` around now."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        path = self._folder / "server.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


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
