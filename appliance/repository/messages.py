"""Messages between two processes of our own over a pipe: each part is LE64(length) || bytes."""

from __future__ import annotations

from typing import IO

from appliance.storage.interface import Buffer

_LENGTH = 8


def send(pipe: IO[bytes], *parts: Buffer) -> None:
    """Sends each part with its length. Raises `OSError`."""
    for part in parts:
        pipe.write(len(part).to_bytes(_LENGTH, "little"))
        pipe.write(part)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes:
    """The next part. Raises `EOFError` when the other process has gone."""
    head = pipe.read(_LENGTH)
    length = int.from_bytes(head, "little")
    data = pipe.read(length)
    if len(head) < _LENGTH or len(data) < length:
        raise EOFError
    return data
