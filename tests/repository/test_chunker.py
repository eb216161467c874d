"""Chunk borders: within bounds, the same wherever the reads end, and a secret of the repository."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyfastcdc import FastCDC

from appliance.repository.chunker import AVERAGE_CHUNK, MAX_CHUNK, MIN_CHUNK, Chunker

CHUNKER = Chunker(0x3DA3358B4DC173)
NOISE = random.Random(1).randbytes(40 << 20)


class ShortReads:
    """A source that gives as little at a time as `sizes` says."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data = io.BytesIO(data)
        self._sizes = sizes
        self._turn = 0

    def readinto(self, buffer: memoryview) -> int:
        self._turn += 1
        return self._data.readinto(buffer[: self._sizes[self._turn % len(self._sizes)]])


def lengths(data: bytes, size_hint: int | None = None) -> list[int]:
    return [len(chunk) for chunk in CHUNKER.chunks(io.BytesIO(data), size_hint)]


@pytest.mark.parametrize("size_hint", [None, 0, 1000, 3 << 20, len(NOISE) - 1, len(NOISE), 1 << 40])
def test_chunks_together_are_the_data(size_hint: int | None) -> None:
    chunks = list(CHUNKER.chunks(io.BytesIO(NOISE), size_hint))
    assert b"".join(chunks) == NOISE
    assert [len(chunk) for chunk in chunks] == lengths(NOISE)


def test_segments_do_not_show_in_the_borders() -> None:
    seed = CHUNKER._seed
    whole = FastCDC(AVERAGE_CHUNK, min_size=MIN_CHUNK, max_size=MAX_CHUNK, normalized_chunking=1, seed=seed)
    assert lengths(NOISE) == [chunk.length for chunk in whole.cut_buf(NOISE)]


@settings(max_examples=10, deadline=None)
@given(
    st.integers(0, 12 << 20), st.lists(st.integers(1, 4 << 20), min_size=1, max_size=4).filter(lambda s: sum(s) > 9999)
)
def test_short_reads_do_not_show_in_the_borders(start: int, sizes: list[int]) -> None:
    data = NOISE[start : start + (10 << 20)]
    chunks = list(CHUNKER.chunks(ShortReads(data, sizes)))
    assert [len(chunk) for chunk in chunks] == lengths(data)
    assert b"".join(chunks) == data


def test_sizes_are_within_bounds() -> None:
    sizes = lengths(NOISE)
    assert all(MIN_CHUNK <= size <= MAX_CHUNK for size in sizes[:-1])
    assert MIN_CHUNK < sum(sizes) / len(sizes) < 2 * AVERAGE_CHUNK


def test_an_empty_source_has_no_chunks() -> None:
    assert lengths(b"") == []


@given(st.integers(1, MIN_CHUNK))
def test_a_small_source_is_one_chunk(size: int) -> None:
    assert lengths(NOISE[:size], size) == lengths(NOISE[:size]) == [size]


def test_zeros_are_cut_alike() -> None:
    for chunker in (CHUNKER, Chunker(0x2DCC93D499FE5F)):
        sizes = [len(chunk) for chunk in chunker.chunks(io.BytesIO(bytes(3 * MAX_CHUNK + 5)))]
        assert sizes == [MAX_CHUNK, MAX_CHUNK, MAX_CHUNK, 5]


def test_an_insertion_changes_few_chunks() -> None:
    before = {bytes(chunk) for chunk in CHUNKER.chunks(io.BytesIO(NOISE))}
    after = {bytes(chunk) for chunk in CHUNKER.chunks(io.BytesIO(NOISE[: 20 << 20] + b"inserted" + NOISE[20 << 20 :]))}
    assert len(after - before) <= 3


def test_borders_are_a_secret_of_the_repository() -> None:
    other = [len(chunk) for chunk in Chunker(0x2DCC93D499FE5F).chunks(io.BytesIO(NOISE))]
    unseeded = [chunk.length for chunk in FastCDC(AVERAGE_CHUNK, min_size=MIN_CHUNK, max_size=MAX_CHUNK).cut_buf(NOISE)]
    assert lengths(NOISE) != other
    assert lengths(NOISE) != unseeded
