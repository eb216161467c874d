"""Signed documents of the provider: compact JWS (RFC 7515), signed with Ed25519 (RFC 8037) and nothing else.

The algorithm and the key are the receiver's choice, never the document's: a header that names another algorithm
(`none`, a MAC) or brings a key of its own is refused unread. Keys are PEM files as OpenSSL makes them (PKCS #8 and
SubjectPublicKeyInfo), so a provider can sign with any tool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from appliance.errors import KurabakoError
from appliance.text import T, Text

if TYPE_CHECKING:
    from joserfc.jwk import OKPKey

ALGORITHM = "EdDSA"
CURVE: Final = "Ed25519"

LARGEST = 32 * 1024
"""Bytes of the largest document that is looked at."""

_HEADER = frozenset({"alg", "typ"})
"""All that a header may hold: in particular no key (`jwk`, `jku`, `x5c`) and no extension (`crit`)."""


class SignatureRefused(KurabakoError):
    """A document is not signed as it must be."""

    code = "contract.signature"


class KeyUnusable(KurabakoError):
    """A file holds no Ed25519 key of the kind that is needed."""

    code = "contract.key"


def new_key_pair() -> tuple[bytes, bytes]:
    """A new private key and its public key, both as PEM."""
    from joserfc.jwk import OKPKey

    key = OKPKey.generate_key(CURVE)
    return key.as_pem(private=True), key.as_pem(private=False)


def public_part(key: bytes) -> bytes:
    """The public key, as PEM, of a private or public key. Raises `KeyUnusable`."""
    return _key(key).as_pem(private=False)


def fingerprint(key: bytes) -> str:
    """A public key's name for people to compare: its RFC 7638 thumbprint. Raises `KeyUnusable`."""
    return _key(key).thumbprint()


def sign(payload: bytes, private_key: bytes, kind: str) -> str:
    """`payload` as a compact JWS of type `kind`. Raises `KeyUnusable`."""
    from joserfc import jws

    key = _key(private_key)
    if not key.is_private:
        raise KeyUnusable(
            T("This is a public key; signing takes the private one."),
            safe=T("Nothing was signed."),
            todo=T("Name the private key that “kurabako contract keygen” made."),
        )
    return jws.serialize_compact({"alg": ALGORITHM, "typ": kind}, payload, key, registry=_registry())


def verify(document: str, public_key: bytes, kind: str) -> bytes:
    """The payload of a compact JWS of type `kind` that the owner of `public_key` signed.

    Raises `SignatureRefused` with the reason, `KeyUnusable` when the key is none.
    """
    from joserfc import jws
    from joserfc.errors import JoseError

    key = _key(public_key)
    if len(document) > LARGEST:
        raise _refused(T("it is larger than {limit} bytes", limit=f"{LARGEST:,}"))
    try:
        token = jws.extract_compact(document.strip().encode("ascii"), registry=_registry())
    except (JoseError, ValueError):
        raise _refused(T("it is not a compact JWS: three parts in base64url with dots between them")) from None
    header = token.headers()
    if not isinstance(header, dict) or header.keys() != _HEADER:
        raise _refused(T("its header must hold alg and typ and nothing else"))
    if header["alg"] != ALGORITHM:
        raise _refused(T("it is signed with {algorithm}; only EdDSA is taken", algorithm=str(header["alg"])[:40]))
    if header["typ"] != kind:
        raise _refused(T("it is of the type {type}, not {wanted}", type=str(header["typ"])[:80], wanted=kind))
    try:
        valid = jws.validate_compact(token, key, registry=_registry())
    except (JoseError, ValueError):
        valid = False
    if not valid:
        raise _refused(T("its signature is not the provider's, or it was altered afterwards"))
    return bytes(token.payload)


def _refused(why: Text) -> SignatureRefused:
    return SignatureRefused(
        T("The document was refused: {why}.", why=why),
        safe=T("Nothing was changed."),
        todo=T("Ask your service provider for the document as it was signed, and copy it whole."),
    )


def _key(pem: bytes) -> OKPKey:
    from joserfc.errors import JoseError
    from joserfc.jwk import OKPKey

    try:
        # A plain string is no key of this kind, although the library would take some JSON for one.
        if not pem.lstrip().startswith(b"-----BEGIN "):
            raise ValueError("not PEM")
        key = OKPKey.import_key(pem)
    except (JoseError, ValueError, TypeError):
        key = None
    if key is None or key.curve_name != CURVE:
        raise KeyUnusable(
            T("This is not an Ed25519 key in PEM form."),
            safe=T("Nothing was changed."),
            todo=T("Use a key that “kurabako contract keygen” or “openssl genpkey -algorithm ed25519” made."),
        )
    return key


def _registry() -> Any:
    """joserfc's rules with one algorithm. It warns of that name, as RFC 9864 has one per curve; the curve is pinned."""
    from joserfc.errors import UnsupportedAlgorithmError
    from joserfc.jws import JWSRegistry

    class Pinned(JWSRegistry):
        max_payload_length = LARGEST

        def get_alg(self, name: str) -> Any:
            if name != ALGORITHM:
                raise UnsupportedAlgorithmError(name)
            return self.algorithms[name]

    return Pinned(algorithms=[ALGORITHM])
