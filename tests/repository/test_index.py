"""The index in memory, compared with plain dictionaries."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from appliance.repository import BlobLocation, BlobType, DamagedData, FileType, Repository, indexreader
from appliance.repository import index as index_module
from appliance.repository.crypto import OVERHEAD
from appliance.repository.index import Index
from appliance.repository.indexcolumns import IndexColumns, index_columns
from appliance.repository.indexfile import encode_index, read_index
from appliance.repository.pack import PackedBlob
from appliance.repository.packnumbers import PackNumbers
from appliance.repository.second import Gone, SecondProcess
from appliance.repository.second_index import SecondIndexer
from tests.support.repository import new_repository

ids = st.binary(min_size=32, max_size=32) | st.builds(
    # Ids that differ in one place only, and lie in few drawers.
    lambda at, value: bytes(at) + bytes([value]) + bytes(31 - at),
    st.integers(0, 31),
    st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]),
)
words = st.integers(0, 2**32 - 1)
blobs = st.builds(PackedBlob, st.sampled_from(BlobType), ids, words, st.integers(OVERHEAD, 2**32 - 1), words)
packs = st.tuples(ids, st.lists(blobs, max_size=8))


class LikeDictionaries(RuleBasedStateMachine):
    """Whatever is added in whatever way: the index knows what a dictionary knows."""

    @initialize(few=st.sampled_from([0, 3, 4096]))
    def begin(self, few: int) -> None:
        self.usual = index_module._FEW
        index_module._FEW = few
        self.index = Index()
        self.packs: list[bytes] = []
        self.known: dict[tuple[BlobType, bytes], list[BlobLocation]] = defaultdict(list)

    def teardown(self) -> None:
        if hasattr(self, "usual"):
            index_module._FEW = self.usual

    def expect(self, pack: tuple[bytes, list[PackedBlob]]) -> None:
        pack_id, contents = pack
        if pack_id in self.packs:
            return
        self.packs.append(pack_id)
        for kind, blob_id, offset, length, uncompressed in contents:
            self.known[kind, blob_id].append(BlobLocation(pack_id, offset, length, uncompressed or None))

    @rule(pack=packs)
    def add_pack(self, pack: tuple[bytes, list[PackedBlob]]) -> None:
        self.index.add_pack(*pack)
        self.expect(pack)

    @rule(named=st.lists(packs, max_size=4))
    def add_indexed(self, named: list[tuple[bytes, list[PackedBlob]]]) -> None:
        self.index.add_columns(index_columns(read_index(encode_index(named))))
        for pack in named:
            self.expect(pack)

    @rule(
        named=st.lists(packs, min_size=1, max_size=3), other=st.sampled_from([str.upper, lambda name: " " + name[1:]])
    )
    def refuse(self, named: list[tuple[bytes, list[PackedBlob]]], other: object) -> None:
        damaged = read_index(
            encode_index([*named, (os.urandom(32), [PackedBlob(BlobType.TREE, b"\xab" * 32, 0, 99, 0)])])
        )
        damaged[-1].blobs[-1].id = other(damaged[-1].blobs[-1].id)  # type: ignore[operator]
        with pytest.raises(DamagedData):
            index_columns(damaged)

    @rule(kind=st.sampled_from(BlobType), blob_id=ids)
    def look_for(self, kind: BlobType, blob_id: bytes) -> None:
        assert self.index.has(kind, blob_id) == ((kind, blob_id) in self.known)

    @rule()
    def look_for_all(self) -> None:
        for (kind, blob_id), locations in self.known.items():
            assert self.index.has(kind, blob_id)
            assert sorted(self.index.locations(kind, blob_id), key=repr) == sorted(locations, key=repr)

    @rule()
    def list_all(self) -> None:
        for kind in BlobType:
            expected = [(one[1], where) for one, all_of in self.known.items() if one[0] is kind for where in all_of]
            assert sorted(self.index.blobs(kind), key=repr) == sorted(expected, key=repr)

    @invariant()
    def counts(self) -> None:
        if hasattr(self, "usual"):
            assert list(self.index.packs()) == self.packs
            for kind in BlobType:
                expected = sum(len(locations) for one, locations in self.known.items() if one[0] is kind)
                assert self.index.count(kind) == expected


TestLikeDictionaries = LikeDictionaries.TestCase
TestLikeDictionaries.settings = settings(max_examples=60, stateful_step_count=25)


def test_ids_that_begin_alike_stay_searchable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_FEW", 100)
    index = Index()
    blob_ids = [bytes(3) + os.urandom(29) for _ in range(3000)]
    for number, blob_id in enumerate(blob_ids):
        index.add_pack(number.to_bytes(32, "big"), [PackedBlob(BlobType.DATA, blob_id, 0, 100, 0)])
        if number % 7 == 0:
            assert index.has(BlobType.DATA, blob_ids[number // 2])
    assert all(index.has(BlobType.DATA, blob_id) for blob_id in blob_ids)
    assert not any(index.has(BlobType.TREE, blob_id) for blob_id in blob_ids)
    assert not any(index.has(BlobType.DATA, bytes(3) + os.urandom(29)) for _ in range(1000))
    for number in (0, 1, 2999):
        assert index.locations(BlobType.DATA, blob_ids[number])[0].pack_id == number.to_bytes(32, "big")


def test_a_pack_that_holds_one_blob_many_times_does_not_wait_for_ever() -> None:
    index = Index()
    count = 100_000
    index.add_pack(bytes(32), [PackedBlob(BlobType.DATA, b"\1" * 32, at, 100, 0) for at in range(count)])
    assert len(index._blobs[BlobType.DATA]._few) <= 1
    assert index._blobs[BlobType.DATA]._waiting <= index_module._FEW
    assert index.has(BlobType.DATA, b"\1" * 32)
    assert len(index.locations(BlobType.DATA, b"\1" * 32)) == count


def test_an_id_that_lies_across_two_records_is_not_found() -> None:
    blob_id = bytes(2) + b"\7" * 30
    index = Index()
    index.add_columns(
        index_columns(read_index(encode_index([(bytes(32), [PackedBlob(BlobType.DATA, blob_id, 0, 100, 0)] * 2)])))
    )
    record = struct.pack("<32sIIII", blob_id, 0, 0, 100, 0)
    across = (record + record)[34:66]
    assert across[:2] == blob_id[:2]
    assert not index.has(BlobType.DATA, across)


def test_packs_keep_their_numbers() -> None:
    numbers = PackNumbers()
    pack_ids = [os.urandom(32) for _ in range(5000)]
    for number, pack_id in enumerate(pack_ids):
        assert pack_id not in numbers
        assert numbers.add(pack_id) == number
        assert pack_id in numbers
    assert list(numbers) == pack_ids
    assert [numbers.number(pack_id) for pack_id in pack_ids] == list(range(5000))
    assert numbers.number(bytes(32)) is None


def test_packs_that_are_known_are_told_among_many() -> None:
    numbers = PackNumbers()
    expected: list[bytes] = []
    for size in (1, 30, 31, 500, 5000):
        some = [os.urandom(32) for _ in range(size)]
        if bytes(32) not in expected:
            some.append(bytes(32))  # as memory that is not used yet reads
        again = expected[::3]
        assert numbers.add_all([*some[: size // 2], *again, *some[size // 2 :]]) == set(again)
        expected += some
        assert list(numbers) == expected
    assert [numbers.number(pack_id) for pack_id in expected] == list(range(len(expected)))


def test_a_blob_takes_64_bytes() -> None:
    """Of half a million, twelve to a pack, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.repository.index_memory"],
        env={**os.environ, "PYTHONMALLOC": "malloc"},  # which gives back what is free
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) <= 64


@pytest.fixture
def many_files(monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with ten index files, which are decoded in two processes."""
    monkeypatch.setattr(indexreader, "WORTH_A_PROCESS", 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    repository = new_repository()
    for number in range(10):
        blobs = [
            PackedBlob(kind, os.urandom(32), at * 100, 100, number) for kind in BlobType for at in range(20 + number)
        ]
        repository.save_json(FileType.INDEX, encode_index([(os.urandom(32), blobs), (bytes(32), blobs)]))
    return repository


def taken_in(repository: Repository) -> list[object]:
    """What is known after all index files were read, and what is said of each."""
    fresh = repository.at(repository.storage)
    said = [packs for _, packs in fresh.take_in(fresh.list_files(FileType.INDEX))]
    known = [sorted(fresh.index.blobs(kind), key=repr) for kind in BlobType]
    return [[str(each) for each in said], fresh.index.packs(), known]


def test_two_processes_decode_what_one_does(many_files: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bool] = []
    collect = SecondIndexer.collect

    def counted(self: SecondIndexer, *, wait: bool) -> tuple[IndexColumns | None] | None:
        answer = collect(self, wait=wait)
        decoded.append(answer not in (None, (None,)))
        return answer

    monkeypatch.setattr(SecondIndexer, "collect", counted)
    many_files.save_json(FileType.INDEX, b'{"packs":[{"id":"no"}]}')
    two = taken_in(many_files)
    assert any(decoded)
    assert sum("does not follow" in said for said in two[0]) == 1  # type: ignore[attr-defined]
    monkeypatch.setattr(indexreader, "WORTH_A_PROCESS", 1 << 40)
    assert taken_in(many_files) == two


@pytest.mark.parametrize("answer", [Gone, (b"", b""), (b"\x92\xc4\x00\x90", b"x"), (b"\x92\xc4\x01x\x90", b"")])
def test_what_the_second_process_does_not_say_the_first_finds_out(
    many_files: Repository, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    real = SecondProcess.collect

    def collect(self: SecondProcess, *, wait: bool) -> tuple[bytes, bytes] | None:
        real(self, wait=wait)
        if answer is Gone:
            raise Gone
        return answer  # type: ignore[return-value]

    monkeypatch.setattr(SecondProcess, "collect", collect)
    with_two = taken_in(many_files)
    monkeypatch.setattr(indexreader, "WORTH_A_PROCESS", 1 << 40)
    assert taken_in(many_files) == with_two
