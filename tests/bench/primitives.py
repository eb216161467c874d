"""How fast one core does each thing a backup cannot do without: what no engine of ours could be faster than."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from appliance.repository import Chunker
from appliance.repository.compression import compress
from appliance.repository.crypto import OVERHEAD, MasterKey, Sealer
from appliance.repository.memory import prepare_process
from tests.bench.corpora import Corpus

_MOST = 128 << 20
"""Bytes of a corpus that are measured."""


def seconds_per_gigabyte(corpus: Corpus) -> dict[str, float]:
    """Processor seconds of one core for 10^9 bytes of the corpus, by what is done with them."""
    prepare_process()
    paths: list[Path] = []
    size = 0
    for path in sorted(each for each in corpus.path.rglob("*") if each.is_file()):
        paths.append(path)
        size += path.stat().st_size
        if size >= _MOST:
            break
    chunks: list[bytes] = []
    chunker = Chunker(0x3DA3358B4DC173)

    def read() -> None:
        buffer = memoryview(bytearray(2 << 20))
        for path in paths:
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass

    def cut() -> None:
        for path in paths:
            with path.open("rb", buffering=0) as file:
                for chunk in chunker.chunks(file, path.stat().st_size):
                    len(chunk)

    read()  # what is measured is the processor, not the disk
    figures = {"read": _seconds(read)}
    figures["cut"] = max(_seconds(cut) - figures["read"], 0.0)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            chunks += map(bytes, chunker.chunks(file, path.stat().st_size))
    figures["hash"] = _seconds(lambda: [sha256(chunk).digest() for chunk in chunks])
    frames: list[bytes] = []
    figures["compress"] = _seconds(lambda: frames.extend(map(compress, chunks)))
    sealer = Sealer(MasterKey.generate(os.urandom))
    out = memoryview(bytearray(max(map(len, frames)) + OVERHEAD))
    figures["encrypt"] = _seconds(lambda: [sealer.seal_into(frame, out[: len(frame) + OVERHEAD]) for frame in frames])
    figures["hash the packs"] = _seconds(lambda: [sha256(frame).digest() for frame in frames])
    total = sum(map(len, chunks))
    return {name: seconds * 1e9 / total for name, seconds in figures.items()}


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
