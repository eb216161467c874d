"""The config file: format version, the repository's id, and the secret of its chunker (format 1.3)."""

from __future__ import annotations

import re

import msgspec

from appliance.repository.crypto import Entropy
from appliance.repository.errors import UNDECODABLE, DamagedData, UnsupportedRepository
from appliance.repository.ids import is_hex_id
from appliance.repository.polynomial import is_irreducible, random_irreducible
from appliance.storage.interface import Buffer
from appliance.text import T

VERSION = 2
_HEX = re.compile(r"[0-9a-f]{1,16}")


class Config(msgspec.Struct, frozen=True):
    """The plaintext of `config`, which is never compressed."""

    version: int
    id: str
    chunker_polynomial: str

    def __repr__(self) -> str:
        return f"Config(version={self.version}, id={self.id!r}, chunker_polynomial=…)"

    @property
    def polynomial(self) -> int:
        return int(self.chunker_polynomial, 16)

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


_decoder = msgspec.json.Decoder(Config)


def new_config(entropy: Entropy) -> Config:
    """A config with a random id and polynomial."""
    return Config(VERSION, entropy(32).hex(), f"{random_irreducible(entropy):x}")


def decode_config(data: Buffer) -> Config:
    """Raises `DamagedData` when it is none or its polynomial is reducible, `UnsupportedRepository` for version 1."""
    try:
        config = _decoder.decode(data)
    except UNDECODABLE:
        raise DamagedData(T("It does not follow the format.")) from None
    if config.version != VERSION:
        raise UnsupportedRepository(config.version)
    if not is_hex_id(config.id) or not _HEX.fullmatch(config.chunker_polynomial):
        raise DamagedData(T("It does not follow the format."))
    if not is_irreducible(config.polynomial):
        raise DamagedData(T("Its chunker polynomial is not irreducible."))
    return config
