"""The recovery key: the password of a box's repositories, made where there is none yet."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

from appliance.errors import KurabakoError
from appliance.text import T

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Thirty-two letters and digits without 0, 1, I and O."""


class CannotSetUp(KurabakoError):
    """A file that the box needs cannot be made."""

    code = "box.cannot-set-up"


def new_recovery_key(entropy: Callable[[int], bytes] = os.urandom) -> str:
    """A random password of 160 bits in eight groups of four, in letters and digits that cannot be mistaken."""
    return random_groups(8, entropy)


def normalized_recovery_key(text: str) -> str | None:
    """The key that somebody typed from paper in small letters, or with other gaps; None when it cannot be one."""
    return normalized_groups(text, 8)


def random_groups(groups: int, entropy: Callable[[int], bytes]) -> str:
    """So many random groups of four of `ALPHABET`, 20 bits each."""
    number = int.from_bytes(entropy((20 * groups + 7) // 8))
    return _grouped("".join(ALPHABET[(number >> (5 * place)) % len(ALPHABET)] for place in range(4 * groups)))


def normalized_groups(text: str, groups: int) -> str | None:
    """`random_groups` as somebody typed them: in small or full-width letters, with other gaps; None: no such thing."""
    typed = unicodedata.normalize("NFKC", text).upper().replace("ー", "-")
    letters = "".join(letter for letter in typed if letter in ALPHABET)
    if len(letters) != 4 * groups or any(letter.isalnum() and letter not in ALPHABET for letter in typed):
        return None
    return _grouped(letters)


def _grouped(letters: str) -> str:
    return "-".join(letters[group : group + 4] for group in range(0, len(letters), 4))


def write_recovery_key(path: Path, key: str) -> None:
    """Writes the key into a new file that only its owner can read, and makes sure that it is on the disk."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key + "\n")
            file.flush()
            os.fsync(descriptor)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise CannotSetUp(
            T("The password file {path} cannot be made: {why}.", path=str(path), why=error.strerror or ""),
            safe=T("Nothing was changed."),
            todo=T("Run the command as root, or name another password_file in the settings."),
        ) from error
