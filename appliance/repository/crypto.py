"""Encryption: AES-256-CTR with Poly1305-AES (format 1.2).

    sealed = iv (16) || AES-256-CTR(plaintext) || Poly1305(r || AES-128(k, iv), ciphertext) (16)

The authenticator covers the ciphertext alone. It does not bind a blob to its place, so whoever reads one hashes
it again and compares with its id. Cipher objects are kept per thread and given a new nonce: making one costs
more than encrypting a small blob.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Sequence
from hmac import compare_digest
from itertools import accumulate
from typing import TypeAlias

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB
from cryptography.hazmat.primitives.poly1305 import Poly1305

from appliance.repository.errors import UNDECODABLE, DamagedData
from appliance.storage.interface import Buffer
from appliance.text import T

IV_SIZE = 16
TAG_SIZE = 16
OVERHEAD = IV_SIZE + TAG_SIZE
"""Bytes by which sealed data is longer than its plaintext."""

Entropy: TypeAlias = Callable[[int], bytes]
"""A source of that many unpredictable bytes; `os.urandom` everywhere but in tests."""


class MasterKey:
    """The keys that everything in a repository is sealed with; also what a password is stretched to."""

    __slots__ = ("encrypt", "mac_k", "mac_r")

    def __init__(self, encrypt: bytes, mac_k: bytes, mac_r: bytes) -> None:
        if (len(encrypt), len(mac_k), len(mac_r)) != (32, 16, 16) or not (any(encrypt) and any(mac_k) and any(mac_r)):
            raise DamagedData(T("The key in it is not valid."))
        self.encrypt = encrypt
        self.mac_k = mac_k
        self.mac_r = mac_r

    def __repr__(self) -> str:
        return "MasterKey(…)"

    @classmethod
    def generate(cls, entropy: Entropy) -> MasterKey:
        """A new random key."""
        return cls.from_bytes(entropy(64))

    @classmethod
    def from_bytes(cls, raw: bytes) -> MasterKey:
        """The key whose parts are these 64 bytes, as a password is stretched to."""
        return cls(raw[:32], raw[32:48], raw[48:64])

    def to_json(self) -> bytes:
        """The plaintext inside a key file."""
        return msgspec.json.encode({"mac": {"k": self.mac_k, "r": self.mac_r}, "encrypt": self.encrypt})

    @classmethod
    def from_json(cls, data: Buffer) -> MasterKey:
        """The inverse of `to_json`; `DamagedData` when it is none. Its errors tell nothing of the content."""
        try:
            wire = _master_key_decoder.decode(data)
            return cls(wire.encrypt, wire.mac.k, wire.mac.r)
        except UNDECODABLE:
            raise DamagedData(T("The key in it is not valid.")) from None


class _WireMac(msgspec.Struct):
    k: bytes
    r: bytes


class _WireMasterKey(msgspec.Struct):
    mac: _WireMac
    encrypt: bytes


_master_key_decoder = msgspec.json.Decoder(_WireMasterKey)


class _Contexts(threading.local):
    """This thread's cipher objects."""

    def __init__(self, key: MasterKey) -> None:
        ctr = Cipher(AES(key.encrypt), CTR(bytes(IV_SIZE)))
        self.encryptor = ctr.encryptor()
        # CTR decrypts as it encrypts, but a context of each kind keeps the types honest.
        self.decryptor = ctr.decryptor()
        self.nonce_encryptor = Cipher(AES(key.mac_k), ECB()).encryptor()  # noqa: S305 - one block, as Poly1305-AES says


class Sealer:
    """Seals and opens with one key. Any number of threads may use one object."""

    def __init__(self, key: MasterKey, entropy: Entropy = os.urandom) -> None:
        self._key = key
        self._entropy = entropy
        self._contexts = _Contexts(key)

    def __repr__(self) -> str:
        return "Sealer(…)"

    def seal(self, plaintext: Buffer) -> bytes:
        """The sealed form of `plaintext`."""
        out = bytearray(len(plaintext) + OVERHEAD)
        self.seal_into(plaintext, memoryview(out))
        return bytes(out)

    def seal_into(self, plaintext: Buffer, out: memoryview) -> None:
        """Writes the sealed form into `out`, which is exactly `OVERHEAD` longer than `plaintext`."""
        self.seal_many((plaintext,), (out,))

    def seal_many(self, plaintexts: Sequence[Buffer], outs: Sequence[memoryview]) -> None:
        """Does `seal_into` for each. For small ones this is cheaper than one by one."""
        ivs = self._ivs(len(plaintexts))
        contexts = self._contexts
        nonces = contexts.nonce_encryptor.update(ivs)
        reset, update = contexts.encryptor.reset_nonce, contexts.encryptor.update_into
        mac_r, tag = self._key.mac_r, Poly1305.generate_tag
        for at, plaintext, out in zip(range(0, len(ivs), IV_SIZE), plaintexts, outs, strict=True):
            iv = ivs[at : at + IV_SIZE]
            ciphertext = out[IV_SIZE:-TAG_SIZE]
            reset(iv)
            update(plaintext, ciphertext)
            out[:IV_SIZE] = iv
            out[-TAG_SIZE:] = tag(mac_r + nonces[at : at + IV_SIZE], ciphertext)

    def _ivs(self, count: int) -> bytes:
        """So many random initialisation vectors, none of them zero."""
        while True:
            ivs = self._entropy(IV_SIZE * count)
            if all(any(ivs[at : at + IV_SIZE]) for at in range(0, len(ivs), IV_SIZE)):
                return ivs

    def open(self, sealed: Buffer) -> memoryview:
        """The plaintext. Raises `DamagedData` when one bit of `sealed` is another than was written."""
        size = len(sealed) - OVERHEAD
        if size < 0:
            raise DamagedData(T("It is too short."))
        view = memoryview(sealed)
        iv = bytes(view[:IV_SIZE])
        ciphertext = view[IV_SIZE:-TAG_SIZE]
        contexts = self._contexts
        one_time_key = self._key.mac_r + contexts.nonce_encryptor.update(iv)
        if not any(iv) or not compare_digest(Poly1305.generate_tag(one_time_key, ciphertext), view[-TAG_SIZE:]):
            raise DamagedData(T("It was altered after it was written, or it belongs to another repository."))
        plaintext = memoryview(bytearray(size))
        contexts.decryptor.reset_nonce(iv)
        contexts.decryptor.update_into(ciphertext, plaintext)
        return plaintext.toreadonly()

    def open_many(self, sealed: Sequence[Buffer]) -> tuple[memoryview, list[int]]:
        """The plaintexts one after another, and where each begins, the end last.

        For small ones this is cheaper than one by one. Raises `DamagedData` when any is not as it was written.
        """
        views = [memoryview(each) for each in sealed]
        if any(len(view) < OVERHEAD for view in views):
            raise DamagedData(T("It is too short."))
        contexts = self._contexts
        ivs = [bytes(view[:IV_SIZE]) for view in views]
        nonces = contexts.nonce_encryptor.update(b"".join(ivs))
        mac_r, tag = self._key.mac_r, Poly1305.generate_tag
        tags = b"".join(
            [
                tag(mac_r + nonces[at : at + IV_SIZE], view[IV_SIZE:-TAG_SIZE])
                for at, view in zip(range(0, len(nonces), IV_SIZE), views, strict=True)
            ]
        )
        if not all(map(any, ivs)) or not compare_digest(tags, b"".join([view[-TAG_SIZE:] for view in views])):
            raise DamagedData(T("It was altered after it was written, or it belongs to another repository."))
        starts = list(accumulate((len(view) - OVERHEAD for view in views), initial=0))
        plaintext = memoryview(bytearray(starts[-1]))
        reset, update = contexts.decryptor.reset_nonce, contexts.decryptor.update_into
        for iv, view, start, end in zip(ivs, views, starts, starts[1:], strict=False):
            reset(iv)
            update(view[IV_SIZE:-TAG_SIZE], plaintext[start:end])
        return plaintext.toreadonly(), starts

    def export(self) -> bytes:
        """The key's JSON, for a process of our own, and handed to it alone; never anywhere else."""
        return self._key.to_json()


def decode_base64(text: str) -> bytes:
    """The bytes written as standard base64; `DamagedData` when it is not."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise DamagedData(T("It does not follow the format.")) from None
