"""Packs and index files."""

from __future__ import annotations

import os
import struct

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from appliance.repository import BlobType, DamagedData
from appliance.repository.crypto import OVERHEAD, MasterKey, Sealer
from appliance.repository.indexfile import decode_index, encode_index
from appliance.repository.pack import PackedBlob, decode_header, encode_header, finish_pack, pack_size, read_header
from appliance.repository.unpacked import decode_unpacked, encode_unpacked

SEALER = Sealer(MasterKey.generate(os.urandom))

ids = st.binary(min_size=32, max_size=32)


@st.composite
def packs(draw: st.DrawFn, kinds: st.SearchStrategy[BlobType] = st.sampled_from(BlobType)) -> list[PackedBlob]:
    """The blobs of a pack, as they follow one another."""
    blobs = []
    offset = 0
    for _ in range(draw(st.integers(1, 8))):
        length = draw(st.integers(OVERHEAD, 1000))
        blobs.append(
            PackedBlob(draw(kinds), draw(ids), offset, length, draw(st.one_of(st.just(0), st.integers(1, 2**32 - 1))))
        )
        offset += length
    return blobs


@given(packs())
def test_a_header_tells_what_was_packed(blobs: list[PackedBlob]) -> None:
    assert decode_header(encode_header(blobs)) == blobs
    tail = finish_pack(blobs, SEALER)
    assert read_header(tail, SEALER) == blobs
    assert len(tail) + sum(blob.length for blob in blobs) == pack_size(blobs)


@given(st.binary(max_size=200))
def test_no_other_bytes_end_a_pack(noise: bytes) -> None:
    with pytest.raises(DamagedData):
        read_header(noise, SEALER)


@given(st.binary(max_size=200))
def test_headers_of_any_bytes_are_read_or_damaged(noise: bytes) -> None:
    try:
        blobs = decode_header(noise)
    except DamagedData:
        return
    assert encode_header(blobs) == noise


@pytest.mark.parametrize(
    "entry",
    [
        struct.pack("<BI32s", 4, 100, bytes(32)),
        struct.pack("<BI32s", 0, OVERHEAD - 1, bytes(32)),
        struct.pack("<BII32s", 2, 100, 0, bytes(32)),
        struct.pack("<BII32s", 6, 100, 5, bytes(32)),
        struct.pack("<BI31s", 0, 100, bytes(31)),
    ],
)
def test_entries_outside_the_format_are_refused(entry: bytes) -> None:
    with pytest.raises(DamagedData):
        decode_header(entry)


@given(st.lists(st.tuples(ids, packs())))
def test_an_index_file_tells_what_is_where(contents: list[tuple[bytes, list[PackedBlob]]]) -> None:
    assert decode_index(decode_unpacked(encode_unpacked(encode_index(contents)))) == contents


def test_an_index_file_is_spelled_as_restic_spells_it() -> None:
    pack_id = bytes(range(32))
    blobs = [PackedBlob(BlobType.DATA, b"\1" * 32, 0, 38, 511), PackedBlob(BlobType.TREE, b"\2" * 32, 38, 150, 0)]
    assert encode_index([(pack_id, blobs)]).decode() == (
        f'{{"packs":[{{"id":"{pack_id.hex()}","blobs":['
        f'{{"id":"{"01" * 32}","type":"data","offset":0,"length":38,"uncompressed_length":511}},'
        f'{{"id":"{"02" * 32}","type":"tree","offset":38,"length":150}}]}}]}}'
    )


@given(st.binary(max_size=200))
def test_no_other_bytes_are_an_index_file(noise: bytes) -> None:
    with pytest.raises(DamagedData):
        decode_index(noise)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "AB" * 32),
        ("id", ""),
        ("type", "key"),
        ("offset", -1),
        ("length", 1 << 32),
        ("length", 31),
        ("offset", "0"),
    ],
)
def test_an_index_file_with_a_wrong_value_is_refused(field: str, value: object) -> None:
    raw = msgspec.json.decode(encode_index([(bytes(32), [PackedBlob(BlobType.DATA, bytes(32), 0, 38, 9)])]))
    raw["packs"][0]["blobs"][0][field] = value
    with pytest.raises(DamagedData):
        decode_index(msgspec.json.encode(raw))


def test_what_other_programs_add_to_an_index_file_is_tolerated() -> None:
    raw = {"supersedes": [], "packs_to_delete": [], "packs": [{"id": "00" * 32, "time": "x", "size": 1, "blobs": []}]}
    assert decode_index(msgspec.json.encode(raw)) == [(bytes(32), [])]
    assert decode_index(b"{}") == []


@given(st.binary(max_size=100))
def test_unpacked_files_of_any_bytes_are_read_or_damaged(noise: bytes) -> None:
    for plaintext in (noise, b"\2" + noise):
        try:
            json = decode_unpacked(plaintext)
        except DamagedData:
            continue
        assert bytes(json)[:1] in (b"{", b"[")


def test_a_bomb_is_not_unpacked() -> None:
    for sized in (True, False):
        bomb = zstandard.ZstdCompressor(write_content_size=sized).compressobj(size=-1 if not sized else 300 << 20)
        frame = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(300)) + bomb.flush()
        with pytest.raises(DamagedData):
            decode_unpacked(b"\2" + frame)
