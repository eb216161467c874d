"""Key files: the master key, sealed once per password (format 1.2).

Several passwords may open one repository: the box's own, the customer's recovery key. Removing a key file ends
what its password can do from then on; it does not take back a master key somebody has already read.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from appliance.repository.crypto import Entropy, MasterKey, Sealer, decode_base64
from appliance.repository.errors import UNDECODABLE, DamagedData
from appliance.storage.interface import Buffer
from appliance.stretching import SALT_SIZE, KdfCost, stretch
from appliance.text import T

MAX_KEY_FILE = 64 << 10
DEFAULT_COST = KdfCost()


class _WireKey(msgspec.Struct):
    created: str
    username: str
    hostname: str
    kdf: str
    N: int
    r: int
    p: int
    salt: str
    data: str


_decoder = msgspec.json.Decoder(_WireKey)


def seal_key(
    master: MasterKey,
    password: str,
    *,
    entropy: Entropy,
    created: str,
    hostname: str,
    username: str,
    cost: KdfCost = DEFAULT_COST,
) -> bytes:
    """A key file that opens `master` with `password`; `created` is an RFC 3339 time."""
    salt = entropy(SALT_SIZE)
    sealed = Sealer(_stretch(password, salt, cost), entropy).seal(master.to_json())
    return msgspec.json.encode(
        {
            "created": created,
            "username": username,
            "hostname": hostname,
            "kdf": "scrypt",
            "N": cost.n,
            "r": cost.r,
            "p": cost.p,
            "salt": salt,
            "data": sealed,
        }
    )


class KeyInfo(NamedTuple):
    """What a key file tells everybody: who made it, where, and when (RFC 3339)."""

    id: str
    username: str
    hostname: str
    created: str


def describe_key(key_file: Buffer, key_id: str) -> KeyInfo:
    """What the key file called `key_id` tells without a password. Raises `DamagedData`."""
    wire = _decode(key_file)
    return KeyInfo(key_id, wire.username, wire.hostname, wire.created)


def _decode(key_file: Buffer) -> _WireKey:
    try:
        return _decoder.decode(key_file)
    except UNDECODABLE:
        raise DamagedData(T("It does not follow the format.")) from None


def open_key(key_file: Buffer, password: str) -> MasterKey | None:
    """The master key, or None when this password does not open it.

    Raises `DamagedData` for what is not a key file; it bounds the memory and the time that one can demand.
    """
    wire = _decode(key_file)
    cost = KdfCost(wire.N, wire.r, wire.p)
    salt = decode_base64(wire.salt)
    sealed = decode_base64(wire.data)
    if wire.kdf != "scrypt" or len(salt) != SALT_SIZE or not cost.is_valid:
        raise DamagedData(T("It does not follow the format."))
    user = Sealer(_stretch(password, salt, cost))
    try:
        plaintext = user.open(sealed)
    except DamagedData:
        return None
    return MasterKey.from_json(plaintext)


def _stretch(password: str, salt: bytes, cost: KdfCost) -> MasterKey:
    return MasterKey.from_bytes(stretch(password, salt, cost))
