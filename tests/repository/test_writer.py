"""Storing blobs: each once, packs before their index, and nothing claimed that is not there."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.errors import KurabakoError
from appliance.repository import BlobLocation, BlobType, DamagedData, FileType, MissingData, Repository, WantedBlob
from appliance.repository import indexfile as indexfile_module
from appliance.repository import writer as writer_module
from appliance.repository.check import check
from appliance.repository.indexfile import MAX_AGE
from appliance.repository.pack import read_header
from appliance.repository.reader import MAX_GAP
from appliance.storage import MemoryStorage
from appliance.storage.interface import Buffer, NoSpace
from appliance.text import T
from tests.support.daemon import eventually
from tests.support.repository import PASSWORD, new_repository, reopen

RANDOM = random.Random(3)


class Recording(MemoryStorage):
    """Remembers what was put and asked for; refuses from put number `full_at` on."""

    def __init__(self) -> None:
        super().__init__()
        self.puts: list[str] = []
        self.gets: list[tuple[str, int, int | None]] = []
        self.full_at: int | None = None
        self.before_put: Callable[[str], None] = lambda key: None

    def put(self, key: str, data: Buffer) -> None:
        self.before_put(key)
        if self.full_at is not None and len(self.puts) >= self.full_at:
            raise NoSpace(T("The disk is full."))
        super().put(key, data)
        self.puts.append(key)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self.gets.append((key, offset, length))
        return super().get(key, offset, length)


@pytest.fixture
def storage() -> Recording:
    return Recording()


@pytest.fixture
def repository(storage: Recording) -> Repository:
    repository = new_repository(storage)
    storage.puts.clear()
    return repository


def is_whole(repository: Repository) -> bool:
    report = check(Repository.open(repository.storage, PASSWORD), read_data=True)
    return report.ok and not report.hints


def packs(repository: Repository) -> list[str]:
    return [info.key for info in repository.list_files(FileType.PACK)]


def test_a_blob_is_stored_once(repository: Repository) -> None:
    with repository.writer() as writer:
        first = writer.save(BlobType.DATA, b"same" * 100)
        second = writer.save(BlobType.DATA, bytearray(b"same" * 100))
        as_tree = writer.save(BlobType.TREE, memoryview(b"same" * 100))
        several = writer.save_many(BlobType.DATA, [b"x", b"same" * 100, b"x", b"y"])
        writer.flush()
        assert not writer.save(BlobType.DATA, b"same" * 100).new
    assert first.new and as_tree.new and not second.new
    assert first.id == second.id == as_tree.id
    assert [saved.new for saved in several] == [True, False, False, True]
    assert [saved.stored > 0 for saved in several] == [True, False, False, True]
    assert writer.counts.data_blobs == 3
    assert writer.counts.tree_blobs == 1
    assert writer.counts.data_added == 802
    assert writer.counts.data_added_packed == first.stored + as_tree.stored + sum(saved.stored for saved in several)
    again = reopen(repository)
    with again.writer() as writer:
        assert not writer.save(BlobType.DATA, b"same" * 100).new
    assert is_whole(repository)


def test_threads_that_save_the_same_store_it_once(repository: Repository) -> None:
    blobs = [RANDOM.randbytes(3000) for _ in range(50)]
    barrier = threading.Barrier(4)

    def work() -> int:
        barrier.wait()
        return sum(writer.save(BlobType.DATA, blob).new for blob in blobs)

    with repository.writer() as writer, ThreadPoolExecutor(4) as pool:
        new = [future.result() for future in [pool.submit(work) for _ in range(4)]]
    assert sum(new) == len(blobs) == writer.counts.data_blobs
    assert repository.index.count(BlobType.DATA) == len(blobs)
    assert is_whole(repository)


def test_what_does_not_shrink_is_stored_as_it_is_but_for_trees(repository: Repository) -> None:
    noise = RANDOM.randbytes(5000)
    with repository.writer() as writer:
        data = writer.save(BlobType.DATA, noise)
        tree = writer.save(BlobType.TREE, noise)
        text = writer.save(BlobType.DATA, b"text" * 1000)
    assert repository.blob_location(BlobType.DATA, data.id).uncompressed_length is None
    assert repository.blob_location(BlobType.TREE, tree.id).uncompressed_length == 5000
    assert repository.blob_location(BlobType.DATA, text.id).plain_length == 4000
    assert text.stored < 200
    for kind, saved in ((BlobType.DATA, data), (BlobType.TREE, tree)):
        assert bytes(repository.load_blob(kind, saved.id)) == noise


def test_what_is_begun_is_stored_when_it_is_finished(repository: Repository) -> None:
    blobs = [RANDOM.randbytes(1000) for _ in range(20)]
    with repository.writer() as writer:
        first = writer.begin_many(BlobType.DATA, blobs)
        second = writer.begin_many(BlobType.DATA, blobs)
        assert not any(saved.new for saved in second())
        assert all(saved.new for saved in first())
    assert repository.index.count(BlobType.DATA) == 20
    assert is_whole(repository)


def test_what_one_thread_begins_others_store(repository: Repository) -> None:
    blobs = [RANDOM.randbytes(1000) for _ in range(20)]
    with repository.writer() as writer, ThreadPoolExecutor(4) as pool:
        begun = [writer.begin(BlobType.DATA, blob) for blob in [*blobs, *blobs]]
        saved = list(pool.map(lambda save: save(), begun))
    assert [one.new for one in saved] == [True] * 20 + [False] * 20
    assert [bytes(repository.load_blob(BlobType.DATA, one.id)) for one in saved] == [*blobs, *blobs]
    assert is_whole(repository)


def test_noise_is_not_compressed_but_for_trees(repository: Repository) -> None:
    noise = RANDOM.randbytes(600_000)
    mixed = noise[:400_000] + bytes(100_000) + noise[500_000:]
    with repository.writer() as writer:
        saved = [
            (kind, data, writer.begin(kind, data)())
            for kind, data in [(BlobType.DATA, noise), (BlobType.DATA, mixed), (BlobType.TREE, noise)]
        ]
    assert [repository.blob_location(kind, one.id).uncompressed_length for kind, _, one in saved] == [
        None,
        len(mixed),
        len(noise),
    ]
    assert all(bytes(repository.load_blob(kind, one.id)) == data for kind, data, one in saved)
    assert is_whole(repository)


def test_a_flush_with_something_begun_claims_nothing(repository: Repository) -> None:
    with pytest.raises(RuntimeError), repository.writer() as writer:
        writer.begin_many(BlobType.DATA, [b"never finished"])
        assert not writer.save(BlobType.DATA, b"never finished").new
    assert repository.list_files(FileType.INDEX) == []


def test_empty_blobs_do_not_exist(repository: Repository) -> None:
    with repository.writer() as writer, pytest.raises(ValueError, match="empty"):
        writer.save(BlobType.DATA, b"")
    assert packs(repository) == []


def test_a_writer_that_saves_nothing_leaves_nothing(repository: Repository, storage: Recording) -> None:
    with repository.writer():
        pass
    assert storage.puts == []


def test_packs_are_filled_and_stored_before_their_index(repository: Repository, storage: Recording) -> None:
    with repository.writer(target_size=100_000, verify=True) as writer, ThreadPoolExecutor(3) as pool:
        blobs = [RANDOM.randbytes(RANDOM.randrange(1, 20_000)) for _ in range(200)] + [RANDOM.randbytes(300_000)]
        saved = list(pool.map(lambda blob: writer.save(BlobType.DATA, blob), blobs))
        list(pool.map(lambda blob: writer.save(BlobType.TREE, blob), blobs[:20]))
    kinds = [key.split("/")[0] for key in storage.puts]
    assert kinds == sorted(kinds)  # data, then index
    assert kinds.count("index") == 1
    sizes = [info.size for info in repository.list_files(FileType.PACK)]
    assert sum(size > 100_000 for size in sizes) == 1
    assert sum(size < 70_000 for size in sizes) <= 4, "packs are full but for the last ones"
    assert is_whole(repository)
    again = reopen(repository)
    for blob, one in zip(blobs, saved, strict=True):
        assert bytes(again.load_blob(BlobType.DATA, one.id)) == blob


def test_neighbours_are_spread_over_two_packs(repository: Repository) -> None:
    with repository.writer(target_size=20_000) as writer:
        for _ in range(200):
            writer.save(BlobType.DATA, RANDOM.randbytes(1000))
    contents = [read_header(repository.storage.get(key), repository.sealer) for key in packs(repository)]
    assert max(map(len, contents)) == 18


def test_left_overs_share_a_pack(repository: Repository) -> None:
    with repository.writer() as writer:
        for _ in range(100):
            writer.save(BlobType.DATA, RANDOM.randbytes(100))
    assert len(packs(repository)) == 1
    assert is_whole(repository)


def test_an_index_file_is_written_when_it_is_full(
    repository: Repository, storage: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_BLOBS", 10)
    with repository.writer(target_size=5000) as writer:
        for _ in range(50):
            writer.save(BlobType.DATA, RANDOM.randbytes(900))
    assert len(repository.list_files(FileType.INDEX)) > 2
    assert is_whole(repository)
    assert indexfile_module.MAX_BLOBS == 50_000


def test_an_index_file_is_written_when_it_is_old(repository: Repository, storage: Recording) -> None:
    seconds = iter(range(0, 10_000_000, int(MAX_AGE)))
    with repository.writer(target_size=5000, monotonic=lambda: next(seconds)) as writer:
        for _ in range(20):
            writer.save(BlobType.DATA, RANDOM.randbytes(4000))
    assert len(repository.list_files(FileType.INDEX)) > 3
    assert is_whole(repository)


def test_a_full_disk_is_told_and_what_is_stored_is_indexed(repository: Repository, storage: Recording) -> None:
    storage.full_at = 3
    with pytest.raises(NoSpace), repository.writer(target_size=5000) as writer:
        for _ in range(100):
            writer.save(BlobType.DATA, RANDOM.randbytes(4000))
    assert len(packs(repository)) == 3
    assert check(Repository.open(storage, PASSWORD), read_data=True).ok


def test_a_failure_that_comes_last_is_told_too(repository: Repository, storage: Recording) -> None:
    storage.full_at = 0
    with pytest.raises(NoSpace), repository.writer() as writer:
        writer.save(BlobType.DATA, b"only")
    storage.full_at = 1
    with pytest.raises(NoSpace), repository.writer() as writer:
        writer.save(BlobType.DATA, b"its index does not fit")


def test_an_interrupted_run_leaves_an_index_of_what_it_stored(repository: Repository) -> None:
    stored: list[bytes] = []
    with pytest.raises(KeyboardInterrupt), repository.writer(target_size=5000) as writer:
        for _ in range(50):
            stored.append(writer.save(BlobType.DATA, RANDOM.randbytes(4000)).id)
        raise KeyboardInterrupt
    again = reopen(repository)
    assert sum(again.has_blob(BlobType.DATA, blob) for blob in stored) == len(packs(repository)) > 40
    assert is_whole(repository)


def test_storing_waits_when_too_many_packs_are_on_their_way(repository: Repository, storage: Recording) -> None:
    gate = threading.Event()
    waiting: list[str] = []
    saved = []

    def hold(key: str) -> None:
        waiting.append(key)
        gate.wait(60)

    storage.before_put = hold

    def work() -> None:
        for _ in range(40):
            saved.append(writer.save(BlobType.DATA, RANDOM.randbytes(4000)))

    with repository.writer(target_size=5000, uploads=2) as writer:
        worker = threading.Thread(target=work)
        worker.start()
        eventually(lambda: len(waiting) == 2, "as many packs as allowed are on their way")
        worker.join(0.3)  # an unbounded writer would be done long before
        assert worker.is_alive()
        assert len(waiting) == 2
        assert len(saved) < 10
        gate.set()
        worker.join(60)
    assert len(saved) == 40
    assert is_whole(repository)


def test_a_machine_that_errs_stores_nothing_of_it(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    compress = writer_module.compress_many
    monkeypatch.setattr(
        writer_module, "compress_many", lambda contents: compress([bytes(c)[:-1] + b"?" for c in contents])
    )
    with pytest.raises(DamagedData), repository.writer(verify=True) as writer:
        writer.save(BlobType.DATA, b"true " * 100)
    assert packs(repository) == []


# --- reading -------------------------------------------------------------------------------------------------


def wanted(repository: Repository, ids: list[bytes]) -> list[WantedBlob]:
    return [WantedBlob(BlobType.DATA, i, repository.blob_location(BlobType.DATA, i)) for i in ids]


def test_blobs_of_a_pack_are_read_with_few_requests(repository: Repository, storage: Recording) -> None:
    blobs = [RANDOM.randbytes(200_000) for _ in range(40)]
    with repository.writer() as writer:
        ids = writer.save_many(BlobType.DATA, blobs)
    contents = {saved.id: blob for saved, blob in zip(ids, blobs, strict=True)}
    in_order = sorted(wanted(repository, list(contents)), key=lambda blob: blob.location.offset)
    assert len({blob.location.pack_id for blob in in_order}) == 1
    storage.gets.clear()
    far = MAX_GAP // 200_000 + 2
    some = [in_order[0], in_order[2], in_order[2 + far]]
    for blob, content in repository.read_pack_blobs(reversed(some)):
        assert not isinstance(content, KurabakoError)
        assert bytes(content) == contents[blob.id]
    assert len(storage.gets) == 2
    storage.gets.clear()
    assert len(list(repository.read_pack_blobs(in_order))) == 40
    assert len(storage.gets) == 1


def test_a_damaged_blob_is_read_from_its_other_copy(repository: Repository, storage: Recording) -> None:
    content = os.urandom(1000)
    ids = []
    for _ in range(2):
        fresh = Repository.open(storage, PASSWORD)  # its index is empty, so it stores the blob again
        with fresh.writer() as writer:
            ids.append(writer.save(BlobType.DATA, content).id)
    again = reopen(repository)
    assert len(again.index.locations(BlobType.DATA, ids[0])) == 2
    for damaged in packs(repository):
        data = storage.get(damaged)
        storage.put(damaged, bytes([data[0] ^ 1]) + data[1:])
        assert bytes(again.load_blob(BlobType.DATA, ids[0])) == content
        ((_, read),) = again.read_pack_blobs(wanted(again, ids[:1]))
        assert not isinstance(read, KurabakoError)
        assert bytes(read) == content
        storage.put(damaged, data)
    for key in packs(repository):
        storage.delete(key)
    ((_, read),) = again.read_pack_blobs(wanted(again, ids[:1]))
    assert isinstance(read, KurabakoError)


def test_an_unknown_blob_is_missing(repository: Repository) -> None:
    with pytest.raises(MissingData, match="tree:00"):
        repository.load_tree(bytes(32))
    with pytest.raises(MissingData):
        repository.blob_location(BlobType.DATA, bytes(32))


def test_a_blob_in_the_place_of_another_is_damaged(repository: Repository) -> None:
    with repository.writer() as writer:
        first, second = writer.save_many(BlobType.DATA, [os.urandom(500), os.urandom(500)])
    location = repository.blob_location(BlobType.DATA, second.id)
    ((_, read),) = repository.read_pack_blobs([WantedBlob(BlobType.DATA, first.id, location)])
    assert isinstance(read, DamagedData)
    wrong = BlobLocation(location.pack_id, location.offset, location.length - 1, None)
    ((_, read),) = repository.read_pack_blobs([WantedBlob(BlobType.DATA, second.id, wrong)])
    assert isinstance(read, DamagedData)
