"""Key files and the config, against ones that stock restic 0.14 wrote."""

from __future__ import annotations

import base64
import os

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from appliance.repository import DamagedData, UnsupportedRepository
from appliance.repository.config import Config, decode_config, new_config
from appliance.repository.crypto import MasterKey, Sealer
from appliance.repository.keys import open_key, seal_key
from appliance.repository.polynomial import is_irreducible, random_irreducible
from appliance.stretching import KdfCost
from tests.support.repository import CHEAP, TIME

RESTIC_KEY = (
    b'{"created":"2026-11-20T22:44:29.102106748Z","username":"root","hostname":"vm","kdf":"scrypt","N":32768,"r":8,'
    b'"p":7,"salt":"+UazPJdjqAX7Wg5XVXZ4VdafhUVyn4gv0LZFOg10WW4kzLdmacje6mqYLBEB/52Yto48b3HCy4avJhKjz9RIWQ==",'
    b'"data":"xBL5gkna1H0w/OA4NRW65tCooFjKHHU2YWFaEcUvFfz8PYKgwKhVhkqWub+/4D2EI6z5/1PkPRQtIHwPy3clzvtQ6qho6aZandoT1Aot'
    b"pbY/1gYjSrxK6NgEWHJWXehVVXq6CdwVTTeia3P3BpbZDwrWzMVqIK2t5+5CBn/AaGYHfijjYQwsIA3CiEBorkigWvLPYK7PMW6F4PMWomd//A=="
    b'"}'
)
RESTIC_CONFIG = base64.b64decode(
    "bvvKLvyKBKFepvE3kF7hr65TgQHkOaiWep2mnd7cK20V4YB7ff5PpQk+BkUC+imhpkC9KNwLCLO2FRGcfsAa5XIUaQHMJixDL44DX+N4UOBTXtdl"
    "LWG1y67JZW/PxWLudJLeAwXnadTLfPMoDHgv0tFLdPlmXWc3Ecj24h63qvYuj1mElBInrDBclAKJhw9DMrfB8e/RQ3MPlls="
)


def sealed_key(password: str, cost: KdfCost = CHEAP) -> tuple[MasterKey, bytes]:
    master = MasterKey.generate(os.urandom)
    file = seal_key(master, password, entropy=os.urandom, created=TIME, hostname="box", username="kura", cost=cost)
    return master, file


def test_a_key_and_a_config_that_restic_wrote() -> None:
    master = open_key(RESTIC_KEY, "geheim")
    assert master is not None
    config = decode_config(Sealer(master).open(RESTIC_CONFIG))
    assert config == Config(2, "83db7ec657aa39c7e53a99c8d2fb1878c45a1007e657e54195a985a504d3a5c5", "2dcc93d499fe5f")


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_key_opens_with_its_password_alone(password: str, other: str) -> None:
    assume(password != other)
    master, file = sealed_key(password)
    opened = open_key(file, password)
    assert opened is not None
    assert opened.to_json() == master.to_json()
    assert open_key(file, other) is None


def test_a_key_file_names_neither_key_nor_password() -> None:
    master, file = sealed_key("a very long password")
    for secret in (b"a very long password", base64.b64encode(master.encrypt), base64.b64encode(master.mac_r)):
        assert secret not in file


@given(st.binary(max_size=300))
def test_no_other_bytes_are_a_key_file(noise: bytes) -> None:
    with pytest.raises(DamagedData):
        open_key(noise, "password")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kdf", "argon2"),
        ("N", 0),
        ("N", 1),
        ("N", 1000),
        ("N", 1 << 40),
        ("r", 0),
        ("r", 1 << 30),
        ("p", -1),
        ("p", 1 << 29),
        ("salt", "AAAA"),
        ("salt", "!"),
        ("data", "é"),
    ],
)
def test_a_key_file_that_demands_the_impossible_is_refused(field: str, value: object) -> None:
    _, file = sealed_key("password")
    changed = msgspec.json.encode({**msgspec.json.decode(file), field: value})
    with pytest.raises(DamagedData):
        open_key(changed, "password")


@pytest.mark.parametrize(
    "plaintext", [b"", b"[]", b'{"mac":{"k":"AA==","r":"AA=="},"encrypt":"AA=="}', b'{"encrypt":"x"}']
)
def test_no_other_bytes_are_a_master_key(plaintext: bytes) -> None:
    with pytest.raises(DamagedData):
        MasterKey.from_json(plaintext)


def test_new_configs_are_valid_and_differ() -> None:
    first, second = new_config(os.urandom), new_config(os.urandom)
    assert decode_config(first.encode()) == first
    assert first.id != second.id
    assert first.chunker_polynomial != second.chunker_polynomial
    assert first.chunker_polynomial not in repr(first)


@given(st.binary(max_size=100))
def test_no_other_bytes_are_a_config(noise: bytes) -> None:
    with pytest.raises(DamagedData):
        decode_config(noise)


@pytest.mark.parametrize(
    ("field", "value"),
    [("id", "x"), ("chunker_polynomial", ""), ("chunker_polynomial", "-3"), ("chunker_polynomial", "2dcc93d499fe5e")],
)
def test_a_config_with_a_wrong_value_is_refused(field: str, value: object) -> None:
    raw = {**msgspec.json.decode(new_config(os.urandom).encode()), field: value}
    with pytest.raises(DamagedData):
        decode_config(msgspec.json.encode(raw))


def test_an_older_format_is_named() -> None:
    raw = msgspec.json.decode(new_config(os.urandom).encode())
    with pytest.raises(UnsupportedRepository):
        decode_config(msgspec.json.encode({**raw, "version": 1}))


def test_fields_of_others_are_tolerated() -> None:
    config = new_config(os.urandom)
    raw = {**msgspec.json.decode(config.encode()), "compression": 3, "append_only": False}
    assert decode_config(msgspec.json.encode(raw)) == config


@pytest.mark.parametrize("polynomial", [0b10, 0b11, 0b111, 0b1011, 0b10011, 0x11B, 0x3DA3358B4DC173])
def test_irreducible_polynomials(polynomial: int) -> None:
    assert is_irreducible(polynomial)


@pytest.mark.parametrize("polynomial", [0, 1, 0b101, 0b110, 0b1111, 0x101, 0x3DA3358B4DC172])
def test_reducible_polynomials(polynomial: int) -> None:
    assert not is_irreducible(polynomial)


@given(st.integers(2, 1 << 26), st.integers(2, 1 << 26))
def test_a_product_is_reducible(a: int, b: int) -> None:
    product = 0
    for bit in range(b.bit_length()):
        if b >> bit & 1:
            product ^= a << bit
    assert not is_irreducible(product)


def test_random_polynomials_have_degree_53() -> None:
    assert random_irreducible(os.urandom).bit_length() == 54
