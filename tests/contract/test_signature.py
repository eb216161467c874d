"""Signed documents: what the provider signed is taken, everything else is refused with the reason."""

from __future__ import annotations

import base64
import json
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.contract.signature import (
    LARGEST,
    KeyUnusable,
    SignatureRefused,
    fingerprint,
    new_key_pair,
    public_part,
    sign,
    verify,
)

KIND = "test+jws"
PRIVATE, PUBLIC = new_key_pair()


def b64(data: bytes | dict[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed_by_hand(header: dict[str, Any], payload: bytes, private: bytes = PRIVATE) -> str:
    """A JWS with any header, its signature genuine: made without the code under test."""
    key = load_pem_private_key(private, None)
    content = f"{b64(header)}.{b64(payload)}"
    return f"{content}.{b64(key.sign(content.encode()))}"  # type: ignore[union-attr, call-arg]


@given(st.binary(max_size=200))
def test_what_is_signed_is_what_is_read(payload: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert verify(sign(payload, PRIVATE, KIND), PUBLIC, KIND) == payload


def test_any_tool_may_sign() -> None:
    token = signed_by_hand({"typ": KIND, "alg": "EdDSA"}, b"{}")
    assert verify(token + "\n", PUBLIC, KIND) == b"{}"


@settings(max_examples=200)
@given(st.data())
def test_no_character_can_be_changed(data: st.DataObject) -> None:
    payload = b'{"capacity": 500}'
    token = sign(payload, PRIVATE, KIND)
    # The last character of a signature carries bits that mean nothing.
    at = data.draw(st.integers(0, len(token) - 2))
    other = data.draw(st.characters(min_codepoint=1, max_codepoint=0x2FF).filter(lambda c: c != token[at]))
    with pytest.raises(SignatureRefused):
        verify(token[:at] + other + token[at + 1 :], PUBLIC, KIND)


_OTHER, _OTHER_PUBLIC = new_key_pair()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "none", "typ": KIND}, "none"),
        ({"alg": "HS256", "typ": KIND}, "HS256"),
        ({"alg": "Ed25519", "typ": KIND}, "only EdDSA"),
        ({"alg": "EdDSA"}, "header"),
        ({"alg": "EdDSA", "typ": "another+jws"}, "another"),
        ({"alg": "EdDSA", "typ": KIND, "kid": "x"}, "header"),
        ({"alg": "EdDSA", "typ": KIND, "jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}}, "header"),
        ({"alg": "EdDSA", "typ": KIND, "jku": "https://example.com/keys"}, "header"),
        ({"alg": "EdDSA", "typ": KIND, "crit": ["b64"], "b64": False}, "header"),
        ({"alg": ["EdDSA"], "typ": KIND}, "EdDSA"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_another_header_is_refused_however_it_is_signed(header: dict[str, Any], reason: str) -> None:
    with pytest.raises(SignatureRefused, match=reason):
        verify(signed_by_hand(header, b"{}"), PUBLIC, KIND)


def test_a_stranger_and_an_unsigned_document_are_refused() -> None:
    header = {"alg": "EdDSA", "typ": KIND}
    for token in (
        sign(b"{}", _OTHER, KIND),
        signed_by_hand(header, b"{}", _OTHER),
        f"{b64({'alg': 'none', 'typ': KIND})}.{b64(b'{}')}.",
        f"{b64(header)}.{b64(b'{}')}.",
    ):
        with pytest.raises(SignatureRefused):
            verify(token, PUBLIC, KIND)


@pytest.mark.parametrize("document", ["", "..", "a.b", "a.b.c", "a.b.c.d", "{}", "蔵箱.a.b", "[].e30.e30", "\0" * 10])
def test_what_is_no_jws_is_refused(document: str) -> None:
    with pytest.raises(SignatureRefused):
        verify(document, PUBLIC, KIND)


def test_a_huge_document_is_refused_unread() -> None:
    with pytest.raises(SignatureRefused, match="larger"):
        verify("a" * (LARGEST + 1), PUBLIC, KIND)


def _pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"no key",
        json.dumps({"kty": "OKP", "crv": "Ed25519", "x": "AA"}).encode(),
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        _pem(rsa.generate_private_key(65537, 2048)),
        _pem(ec.generate_private_key(ec.SECP256R1())),
    ],
    ids=["empty", "words", "jwk", "broken", "rsa", "ec"],
)
def test_another_kind_of_key_is_said_to_be_none(key: bytes) -> None:
    with pytest.raises(KeyUnusable):
        verify(sign(b"{}", PRIVATE, KIND), key, KIND)
    with pytest.raises(KeyUnusable):
        sign(b"{}", key, KIND)


def test_a_public_key_signs_nothing() -> None:
    with pytest.raises(KeyUnusable, match="private"):
        sign(b"{}", PUBLIC, KIND)


def test_a_key_pair_belongs_together_and_has_one_name() -> None:
    assert public_part(PRIVATE) == public_part(PUBLIC) == PUBLIC
    assert fingerprint(PRIVATE) == fingerprint(PUBLIC) != fingerprint(_OTHER_PUBLIC)
    assert b"PRIVATE" in PRIVATE
    assert b"PRIVATE" not in PUBLIC


def test_openssl_verifies_what_we_sign(tmp_path: Path) -> None:
    """The peer: OpenSSL's own Ed25519 over the JWS signing input."""
    head, body, signature = sign(b'{"a": 1}', PRIVATE, KIND).split(".")
    (tmp_path / "content").write_text(f"{head}.{body}")
    (tmp_path / "signature").write_bytes(base64.urlsafe_b64decode(signature + "=="))
    (tmp_path / "key").write_bytes(PUBLIC)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key", "-rawin", "-in", "content"]
    done = subprocess.run([*command, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, text=True)
    assert "Verified Successfully" in done.stdout, done.stderr


def test_the_private_key_is_one_that_others_read() -> None:
    key = load_pem_private_key(PRIVATE, None)
    assert key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) == PRIVATE
