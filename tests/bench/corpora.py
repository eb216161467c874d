"""Generated corpora: the same bytes on every machine, from a seed."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

_WORDS = [
    "backup",
    "restore",
    "会社",
    "見積書",
    "請求",
    "table",
    "column",
    "value",
    "server",
    "request",
    "index",
    "storage",
    "議事録",
    "report",
    "page",
    "disk",
    "snapshot",
    "order",
    "error",
    "field",
    "time",
    "network",
    "contract",
    "office",
    "number",
    "customer",
    "株式会社",
    "東京",
    "address",
    "total",
]


@dataclass(frozen=True)
class Corpus:
    """A generated tree: its name, folder, number of files and bytes."""

    name: str
    path: Path
    files: int
    bytes: int


def _text(random_: random.Random, size: int) -> bytes:
    """Text that compresses about as office documents and logs do."""
    parts: list[str] = []
    length = 0
    while length < size:
        line = " ".join(random_.choices(_WORDS, k=12)) + f" {random_.getrandbits(40):x}\n"
        parts.append(line)
        length += len(line.encode())
    return "".join(parts).encode()[:size]


def _mixed(random_: random.Random, size: int, pool: bytes) -> bytes:
    """A large file as offices have them: half incompressible (pictures, archives), half text, some of it repeated."""
    parts: list[bytes] = []
    left = size
    while left > 0:
        piece = min(left, random_.randrange(256 << 10, 4 << 20))
        kind = random_.random()
        if kind < 0.5:
            parts.append(random_.randbytes(piece))
        else:
            start = random_.randrange(len(pool) - piece)
            parts.append(pool[start : start + piece])
        left -= piece
    return b"".join(parts)


def large(folder: Path, total_bytes: int, seed: int = 1) -> Corpus:
    """Files of 16 to 128 MiB, half incompressible; one in eight is a changed copy of the one before."""
    random_ = random.Random(seed)
    pool = _text(random_, 24 << 20)
    written = files = 0
    previous = b""
    folder.mkdir(parents=True)
    while written < total_bytes:
        size = min(random_.randrange(16 << 20, 128 << 20), total_bytes - written)
        if files % 8 == 7 and previous:
            middle = len(previous) // 2
            data = previous[:middle] + random_.randbytes(1000) + previous[middle:]
        else:
            data = _mixed(random_, size, pool)
        (folder / f"large-{files:03}.bin").write_bytes(data)
        previous = data
        written += len(data)
        files += 1
    return Corpus("large mixed files", folder, files, written)


def small(folder: Path, count: int, seed: int = 2) -> Corpus:
    """`count` files of 200 B to 20 kB in folders of 100, four fifths text."""
    random_ = random.Random(seed)
    pool = _text(random_, 8 << 20)
    written = 0
    for number in range(count):
        if number % 100 == 0:
            current = folder / f"dir-{number // 10000:02}" / f"部署-{number // 100:04}"
            current.mkdir(parents=True)
        size = int(200 * 100 ** random_.random())
        if random_.random() < 0.8:
            start = random_.randrange(len(pool) - size)
            data = f"{number}\n".encode() + pool[start : start + size]
        else:
            data = random_.randbytes(size)
        (current / f"file-{number:06}.dat").write_bytes(data)
        written += len(data)
    return Corpus("small files", folder, count, written)


def settle() -> None:
    """Everything written so far is on the disk, so that no run pays for another's writes."""
    os.sync()
