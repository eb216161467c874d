"""Sealing, against vectors that others have published."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.repository import DamagedData
from appliance.repository.crypto import OVERHEAD, MasterKey, Sealer

KEY = MasterKey.generate(os.urandom)
SEALER = Sealer(KEY)

POLY1305_AES = [  # message, r, k, nonce, tag: D. J. Bernstein, The Poly1305-AES message-authentication code, appendix B
    (
        "f3f6",
        "851fc40c3467ac0be05cc20404f3f700",
        "ec074c835580741701425b623235add6",
        "fb447350c4e868c52ac3275cf9d4327e",
        "f4c633c3044fc145f84f335cb81953de",
    ),
    (
        "",
        "a0f3080000f46400d0c7e9076c834403",
        "75deaa25c09f208e1dc4ce6b5cad3fbf",
        "61ee09218d29b0aaed7e154a2c5509cc",
        "dd3fab2251f11ac759f0887129cc2ee7",
    ),
    (
        "663cea190ffb83d89593f3f476b6bc24d7e679107ea26adb8caf6652d0656136",
        "48443d0bb0d21109c89a100b5ce2c208",
        "6acb5f61a7176dd320c5c1eb2edcdc74",
        "ae212a55399729595dea458bc621ff0e",
        "0ee1c16bb73f0f4fd19881753c01cdbe",
    ),
]


def test_the_vector_of_restics_own_tests() -> None:
    key = MasterKey(
        bytes.fromhex("303e8687b1d7db18421bdc6bb8588ccadac4d59ee87b8ff70c44e635790cafef"),
        bytes.fromhex("ef4d8824cb80b2bcc5fbff8a9b12a42c"),
        bytes.fromhex("cc8d4b948ee0ebfe1d415de921d10353"),
    )
    sealed = bytes.fromhex(
        "69fb41c62d12def4593bd71757138606338f621aeaeb39da0fe4f99233f8037a54ea63338a813bcf3f75d8c3cc75dddf8750"
    )
    assert Sealer(key).open(sealed) == b"Dies ist ein Test!"
    assert Sealer(key, entropy=lambda size: sealed[:size]).seal(b"Dies ist ein Test!") == sealed


@pytest.mark.parametrize(("ciphertext", "r", "k", "nonce", "tag"), POLY1305_AES)
def test_the_authenticator_is_poly1305_aes(ciphertext: str, r: str, k: str, nonce: str, tag: str) -> None:
    sealer = Sealer(MasterKey(bytes(31) + b"\1", bytes.fromhex(k), bytes.fromhex(r)))
    sealed = bytes.fromhex(nonce + ciphertext + tag)
    assert len(sealer.open(sealed)) == len(sealed) - OVERHEAD


@given(st.binary(max_size=200))
def test_what_is_sealed_opens(plaintext: bytes) -> None:
    sealed = SEALER.seal(plaintext)
    assert len(sealed) == len(plaintext) + OVERHEAD
    assert SEALER.open(sealed) == plaintext


@given(st.binary(max_size=50), st.data())
def test_one_changed_bit_is_noticed(plaintext: bytes, data: st.DataObject) -> None:
    sealed = bytearray(SEALER.seal(plaintext))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedData):
        SEALER.open(sealed)


@given(st.binary(max_size=100))
def test_anything_else_is_damaged(noise: bytes) -> None:
    with pytest.raises(DamagedData):
        SEALER.open(noise)


def test_sealing_twice_gives_two_texts() -> None:
    assert SEALER.seal(b"same") != SEALER.seal(b"same")


def test_an_iv_of_zeros_is_not_used() -> None:
    drawn = [bytes(16), b"\1" * 16]
    sealed = Sealer(KEY, entropy=lambda size: drawn.pop(0)).seal(b"x")
    assert sealed[:16] == b"\1" * 16


@pytest.mark.parametrize("size", [(31, 16, 16), (32, 15, 16), (32, 16, 17)])
def test_keys_of_another_size_are_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(DamagedData):
        MasterKey(*(b"k" * n for n in size))


def test_keys_of_zeros_are_refused() -> None:
    with pytest.raises(DamagedData):
        MasterKey(bytes(32), b"k" * 16, b"r" * 16)


def test_keys_do_not_show_in_a_repr() -> None:
    assert KEY.encrypt.hex() not in repr(KEY) + repr(SEALER)
