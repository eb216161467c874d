"""scrypt, which stretches the password of a repository's key file, begun ahead where it is known what will be asked.

It takes a core for a fifth of a second, while other threads run: a command that begins with it has it done when its
modules are imported. This module imports next to nothing itself.
"""

from __future__ import annotations

import hashlib
import threading
from typing import NamedTuple

SALT_SIZE = 64
SIZE = 64
"""Bytes that a password is stretched to."""

_MAX_MEMORY = 256 << 20
"""Bytes that a key file may demand. restic asks for 32 MiB, rustic for 128; the format's own bound of 2 GiB would let
whoever can write into the cloud bring a small box down."""
_MAX_WORK = 1 << 26


class KdfCost(NamedTuple):
    """What scrypt costs whoever guesses a password: `n * r * 128` bytes of memory, `p` times over."""

    n: int = 32768
    r: int = 8
    p: int = 3
    """About 0.4 s on a small box, as restic aims for."""

    @property
    def is_valid(self) -> bool:
        """Whether it is scrypt's, and bearable."""
        n, r, p = self
        power_of_two = n > 1 and n & (n - 1) == 0
        return power_of_two and r >= 1 and p >= 1 and n * r * 128 <= _MAX_MEMORY and n * r * p <= _MAX_WORK


class _Begun:
    """One that is under way."""

    def __init__(self, password: str, salt: bytes, cost: KdfCost) -> None:
        self.asked = password, salt, cost
        self._key = b""
        self._thread = threading.Thread(target=self._work, name="stretch", daemon=True)
        self._thread.start()

    def key(self) -> bytes:
        self._thread.join()
        return self._key or _stretch(*self.asked)

    def _work(self) -> None:
        self._key = _stretch(*self.asked)


_begun: list[_Begun] = []


def begin(password: str, salt: bytes, cost: KdfCost) -> None:
    """Begins what `stretch` will be asked for, perhaps."""
    if len(salt) == SALT_SIZE and cost.is_valid:
        _begun.append(_Begun(password, salt, cost))


def stretch(password: str, salt: bytes, cost: KdfCost) -> bytes:
    """The key that `password` is stretched to; what was begun is used once."""
    for begun in _begun:
        if begun.asked == (password, salt, cost):
            _begun.remove(begun)
            return begun.key()
    return _stretch(password, salt, cost)


def _stretch(password: str, salt: bytes, cost: KdfCost) -> bytes:
    memory = 128 * cost.r * (cost.n + cost.p + 2)
    return hashlib.scrypt(
        password.encode("utf-8", "surrogateescape"),
        salt=salt,
        n=cost.n,
        r=cost.r,
        p=cost.p,
        maxmem=memory + (1 << 20),
        dklen=SIZE,
    )
