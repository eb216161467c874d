"""What every storage must do, as one suite for all of them, a stranger's too.

Import the class into a test module and give it a fixture `storage` that yields a new, empty place:

    from tests.storage.conformance import StorageConformance

    class TestMine(StorageConformance):
        @pytest.fixture
        def storage(self): ...

`place_again` may be overridden to open the same place a second time, as another process would.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.errors import KurabakoError
from appliance.storage.interface import DamagedAnswer, DamagedHere, ObjectInfo, ObjectNotFound, Storage, StorageError

CONFIG = "config"
# As long as a repository's names, but no hashes: what is stored under them here is any bytes.
PACK = "data/ab/" + "ab" * 31 + "-1"
OTHER_PACK = "data/cd/" + "cd" * 31 + "-1"
LOCK = "locks/" + "0f" * 31 + "-1"


def pattern(size: int) -> bytes:
    """`size` bytes in which every place is recognisable."""
    block = b"".join(hashlib.sha256(n.to_bytes(4, "big")).digest() for n in range(min(size, 1 << 20) // 32 + 1))
    return (block * (size // len(block) + 1))[:size]


class StorageConformance:
    """The semantics written in `appliance.storage.interface`, one test each."""

    @pytest.fixture
    def storage(self) -> Iterator[Storage]:
        raise NotImplementedError("give the suite a storage")

    def place_again(self, storage: Storage) -> Storage:
        """The same place, seen by somebody else; the storage itself where nobody else can see it."""
        return storage

    def test_is_a_storage(self, storage: Storage) -> None:
        assert isinstance(storage, Storage)
        assert storage.location

    def test_put_is_seen_by_everybody(self, storage: Storage) -> None:
        storage.put(CONFIG, b"hello")
        other = self.place_again(storage)
        assert other.get(CONFIG) == b"hello"
        assert other.stat(CONFIG) == ObjectInfo(CONFIG, 5)
        assert list(other.list()) == [ObjectInfo(CONFIG, 5)]

    @pytest.mark.parametrize("size", [0, 1, 4095, 4096, 1_000_003])
    def test_any_size_comes_back(self, storage: Storage, size: int) -> None:
        data = pattern(size)
        storage.put(PACK, data)
        assert storage.stat(PACK).size == size
        assert storage.get(PACK) == data

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_any_buffer_is_taken(self, storage: Storage, kind: type) -> None:
        storage.put(PACK, kind(b"some bytes"))
        assert storage.get(PACK) == b"some bytes"
        assert isinstance(storage.get(PACK), bytes)

    def test_a_caller_may_reuse_its_buffer(self, storage: Storage) -> None:
        buffer = bytearray(b"first")
        storage.put(PACK, buffer)
        buffer[:] = b"other"
        assert storage.get(PACK) == b"first"

    def test_a_slice_of_a_larger_buffer(self, storage: Storage) -> None:
        storage.put(PACK, memoryview(b"0123456789")[2:5])
        assert storage.get(PACK) == b"234"

    def test_an_object_named_by_its_hash(self, storage: Storage) -> None:
        data = pattern(100_000)
        key = f"locks/{hashlib.sha256(data).hexdigest()}"
        storage.put(key, data)
        assert storage.get(key) == data
        try:
            storage.put(key, data[:-1] + b"!")
        except DamagedHere:
            assert storage.get(key) == data

    def test_ranges(self, storage: Storage) -> None:
        data = pattern(10_000)
        storage.put(PACK, data)
        for offset, length in [(0, 1), (0, 10_000), (1, 9_999), (9_999, 1), (4_000, 333)]:
            assert storage.get(PACK, offset, length) == data[offset : offset + length]
        assert storage.get(PACK, 9_000) == data[9_000:]
        assert storage.get(PACK, 10_000) == b""
        assert storage.get(PACK, 5, 0) == b""
        assert storage.get(PACK, 10_000, 0) == b""

    @pytest.mark.parametrize(("offset", "length"), [(0, 101), (50, 51), (100, 1), (101, 0), (101, None), (500, 5)])
    def test_a_range_beyond_the_end_is_damage(self, storage: Storage, offset: int, length: int | None) -> None:
        storage.put(PACK, pattern(100))
        with pytest.raises(DamagedAnswer):
            storage.get(PACK, offset, length)

    def test_put_again_replaces(self, storage: Storage) -> None:
        storage.put(PACK, b"same bytes")
        storage.put(PACK, b"same bytes")
        assert storage.get(PACK) == b"same bytes"
        storage.put(CONFIG, b"old")
        storage.put(CONFIG, b"newer")
        assert storage.get(CONFIG) == b"newer"
        assert {info.key for info in storage.list()} == {PACK, CONFIG}

    def test_what_is_not_there(self, storage: Storage) -> None:
        storage.put(OTHER_PACK, b"x")
        for key in (CONFIG, PACK, "data/cd/" + "ce" * 31 + "-1"):
            for call in (storage.get, storage.stat):
                with pytest.raises(ObjectNotFound) as caught:
                    call(key)
                assert caught.value.key == key
                assert caught.value.transient is False
            with pytest.raises(ObjectNotFound):
                storage.get(key, 5, 10)
            with pytest.raises(ObjectNotFound):
                storage.get(key, 0, 0)

    def test_a_folder_is_no_object(self, storage: Storage) -> None:
        storage.put(PACK, b"x")
        for key in ("data", "data/ab"):
            with pytest.raises(ObjectNotFound):
                storage.get(key)
            with pytest.raises(ObjectNotFound):
                storage.stat(key)
            storage.delete(key)
        assert storage.get(PACK) == b"x"

    def test_delete(self, storage: Storage) -> None:
        storage.put(PACK, b"x")
        storage.put(OTHER_PACK, b"y")
        storage.delete(PACK)
        storage.delete(PACK)
        storage.delete(LOCK)
        with pytest.raises(ObjectNotFound):
            storage.get(PACK)
        assert [info.key for info in storage.list()] == [OTHER_PACK]
        storage.put(PACK, b"back")
        assert storage.get(PACK) == b"back"

    def test_list_below_a_folder(self, storage: Storage) -> None:
        sizes = {CONFIG: 1, PACK: 2, OTHER_PACK: 3, LOCK: 4, "data/ab/" + "aa" * 31 + "-1": 5, "database": 6}
        for key, size in sizes.items():
            storage.put(key, bytes(size))
        assert {info.key: info.size for info in storage.list()} == sizes
        assert {info.key for info in storage.list("data")} == {key for key in sizes if key.startswith("data/")}
        assert {info.key for info in storage.list("data/ab")} == {PACK, "data/ab/" + "aa" * 31 + "-1"}
        assert {info.key for info in storage.list("locks")} == {LOCK}
        assert list(storage.list("data/a")) == []
        assert list(storage.list("index")) == []
        assert list(storage.list(CONFIG)) == []

    def test_an_empty_place_lists_nothing(self, storage: Storage) -> None:
        assert list(storage.list()) == []
        assert list(storage.list("data")) == []

    def test_list_while_deleting_what_it_yields(self, storage: Storage) -> None:
        keys = {f"locks/{n:062x}-1" for n in range(40)}
        for key in keys:
            storage.put(key, b"lock")
        seen = set()
        for info in storage.list("locks"):
            seen.add(info.key)
            storage.delete(info.key)
        assert seen == keys
        assert list(storage.list()) == []

    @pytest.mark.parametrize(
        "key",
        ["", "/config", "config/", "data//ab", "../config", "data/../config", ".hidden", "Config", "a b", "é", "a\n"],
    )
    def test_a_key_that_is_none_is_refused_at_the_door(self, storage: Storage, key: str) -> None:
        for call in (lambda: storage.put(key, b""), lambda: storage.get(key), lambda: storage.stat(key)):
            with pytest.raises(ValueError, match="not a storage key"):
                call()
        with pytest.raises(ValueError, match="not a storage key"):
            storage.delete(key)
        if key:
            with pytest.raises(ValueError, match="not a storage key"):
                list(storage.list(key))

    def test_many_threads(self, storage: Storage) -> None:
        def work(number: int) -> None:
            key = f"data/{number % 8:02x}/{number:062x}-1"
            data = pattern(1000 + number)
            storage.put(key, data)
            assert storage.get(key) == data
            assert storage.get(key, 100, 50) == data[100:150]
            assert storage.stat(key).size == len(data)
            if number % 3 == 0:
                storage.delete(key)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(48)))
        left = {f"data/{n % 8:02x}/{n:062x}-1" for n in range(48) if n % 3}
        assert {info.key for info in storage.list("data")} == left

    def test_a_reader_never_sees_a_part(self, storage: Storage) -> None:
        """While one object is put again and again with the same bytes, every read finds all of it."""
        data = pattern(300_000)
        storage.put(PACK, data)
        done = threading.Event()
        seen: list[bytes] = []

        def read() -> None:
            while not done.is_set():
                seen.append(storage.get(PACK))

        with ThreadPoolExecutor(1) as pool:
            reader = pool.submit(read)
            try:
                for _ in range(5):
                    storage.put(PACK, data)
            finally:
                done.set()
            reader.result()
        assert all(part == data for part in seen)

    def test_errors_are_for_people(self, storage: Storage) -> None:
        with pytest.raises(StorageError) as caught:
            storage.get(PACK)
        error = caught.value
        assert isinstance(error, KurabakoError)
        assert error.code.startswith("storage.")
        for language in ("en", "ja"):
            assert storage.location in error.render(language)
