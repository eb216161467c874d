"""What check finds: each kind of damage, by its own name, and nothing in a whole repository."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from appliance.repository import BlobType, FileType, Node, Repository, Snapshot, encode_tree
from appliance.repository import check as check_module
from appliance.repository.check import CheckReport, check
from appliance.repository.crypto import OVERHEAD
from appliance.repository.files import store_file
from appliance.repository.ids import content_id, object_key
from appliance.repository.indexfile import decode_index, encode_index
from appliance.repository.pack import PackedBlob, finish_pack, read_header
from appliance.repository.second import SecondProcess
from appliance.repository.second_check import SecondChecker
from appliance.storage import MemoryStorage
from appliance.storage.interface import ObjectInfo
from tests.support.repository import PASSWORD, TIME, dir_node, file_node, new_repository, save_files


@pytest.fixture
def repository() -> Repository:
    repository = new_repository()
    save_files(repository, {b"a": b"content of a " * 99, b"b": bytes(range(256)), b"empty": b""})
    return repository


def checked(repository: Repository, *, read_data: bool = False) -> CheckReport:
    return check(Repository.open(repository.storage, PASSWORD), read_data=read_data)


def errors(report: CheckReport) -> set[str]:
    return {finding.kind for finding in report.errors}


def keys(repository: Repository, kind: FileType) -> list[str]:
    return [info.key for info in repository.list_files(kind)]


def flip(repository: Repository, key: str, at: int) -> None:
    data = bytearray(repository.storage.get(key))
    data[at] ^= 1
    repository.storage.put(key, data)


def rewrite_index(repository: Repository, change: Callable[[list[tuple[bytes, list[PackedBlob]]]], None]) -> None:
    for info in repository.list_files(FileType.INDEX):
        packs = decode_index(repository.load_json(info))
        change(packs)
        repository.storage.delete(info.key)
        repository.save_json(FileType.INDEX, encode_index(packs))


def save_tree(repository: Repository, blob: bytes) -> None:
    """A snapshot whose root is this very blob."""
    with repository.writer() as writer:
        root = writer.save(BlobType.TREE, blob).id
    repository.save_snapshot(Snapshot(time=TIME, tree=root.hex()))


@pytest.mark.parametrize("read_data", [False, True])
def test_nothing_is_found_in_a_whole_repository(repository: Repository, read_data: bool) -> None:
    steps: list[tuple[int, int]] = []
    fresh = Repository.open(repository.storage, PASSWORD)
    report = check(fresh, read_data=read_data, on_progress=lambda done, total: steps.append((done, total)))
    assert report.ok
    assert report.hints == []
    assert (report.snapshots, report.trees, report.packs) == (1, 2, 2)
    packs = sum(info.size for info in repository.list_files(FileType.PACK))
    assert report.bytes_read == (packs if read_data else 0)
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]


def test_an_empty_repository_is_whole() -> None:
    assert checked(new_repository(), read_data=True) == CheckReport()


DAMAGE = [
    (FileType.INDEX, "index-damaged", False),
    (FileType.SNAPSHOT, "snapshot-damaged", False),
    (FileType.PACK, "pack-damaged", True),
]


@pytest.mark.parametrize(("kind", "expected", "read_data"), DAMAGE)
@pytest.mark.parametrize("at", [0, 20, -1])
def test_one_bit_in_a_file_is_found(
    repository: Repository, kind: FileType, expected: str, read_data: bool, at: int
) -> None:
    for key in keys(repository, kind):
        flip(repository, key, at)
        assert expected in errors(checked(repository, read_data=read_data))
        flip(repository, key, at)
    assert checked(repository, read_data=True).ok


def test_a_damaged_second_key_is_found(repository: Repository) -> None:
    storage = repository.storage
    storage.put(f"keys/{'f' * 64}", storage.get(keys(repository, FileType.KEY)[0]))
    assert errors(checked(repository)) == {"key-damaged"}


def test_a_config_damaged_since_it_was_opened_is_found(repository: Repository) -> None:
    flip(repository, "config", 40)
    assert "config-damaged" in errors(check(repository))


def test_a_damaged_lock_is_found(repository: Repository) -> None:
    repository.storage.put(f"locks/{'0' * 64}", b"noise")
    repository.storage.put(f"locks/{'1' * 64}", b"")
    assert errors(checked(repository)) == {"lock-damaged"}


def test_a_missing_pack_is_found(repository: Repository) -> None:
    found = []
    for key in keys(repository, FileType.PACK):
        content = repository.storage.get(key)
        repository.storage.delete(key)
        found.append(errors(checked(repository, read_data=True)))
        repository.storage.put(key, content)
    assert sorted(found, key=len) == [{"pack-missing"}, {"pack-missing", "tree-damaged"}]


def test_a_pack_of_another_size_is_found(repository: Repository) -> None:
    for key in keys(repository, FileType.PACK):
        repository.storage.put(key, repository.storage.get(key) + b"x")
    assert errors(checked(repository)) == {"pack-size"}


def test_a_pack_in_no_index_is_a_hint(repository: Repository) -> None:
    store_file(repository.storage, FileType.PACK, b"left over")
    report = checked(repository, read_data=True)
    assert (errors(report), [hint.kind for hint in report.hints]) == (set(), ["pack-not-indexed"])


def test_other_names_are_nobodys_business(repository: Repository) -> None:
    for folder in ("data/ab", "index", "snapshots", "keys", "locks"):
        repository.storage.put(f"{folder}/readme.txt", b"hello")
    report = checked(repository, read_data=True)
    assert (report.errors, report.hints) == ([], [])


def test_a_pack_indexed_twice_alike_is_a_hint(repository: Repository) -> None:
    (info,) = repository.list_files(FileType.INDEX)
    repository.save_json(FileType.INDEX, encode_index(decode_index(repository.load_json(info))))
    report = checked(repository, read_data=True)
    assert (errors(report), {hint.kind for hint in report.hints}) == (set(), {"pack-indexed-twice"})


def test_a_pack_indexed_twice_differently_is_an_error(repository: Repository) -> None:
    (info,) = repository.list_files(FileType.INDEX)
    packs = decode_index(repository.load_json(info))
    pack_id, blobs = packs[0]
    repository.save_json(FileType.INDEX, encode_index([(pack_id, blobs[:-1])]))
    assert "pack-indexed-differently" in errors(checked(repository))


def test_a_blob_missing_from_the_index_is_found(repository: Repository) -> None:
    def drop(packs: list[tuple[bytes, list[PackedBlob]]]) -> None:
        for _, blobs in packs:
            if blobs[0].type is BlobType.DATA:
                blobs.pop(0)

    rewrite_index(repository, drop)
    assert errors(checked(repository, read_data=True)) == {"pack-size", "pack-gap", "pack-header", "blob-missing"}


def test_an_index_that_confuses_two_blobs_is_found(repository: Repository) -> None:
    def confuse(packs: list[tuple[bytes, list[PackedBlob]]]) -> None:
        for _, blobs in packs:
            if blobs[0].type is BlobType.DATA:
                blobs[0], blobs[1] = (
                    blobs[0]._replace(id=blobs[1].id),
                    blobs[1]._replace(id=blobs[0].id),
                )

    rewrite_index(repository, confuse)
    assert errors(checked(repository, read_data=True)) == {"pack-header", "blob-damaged"}


def test_a_pack_of_both_types_is_a_hint(repository: Repository) -> None:
    blobs: list[PackedBlob] = []
    body = b""
    for kind, content in ((BlobType.DATA, b"data"), (BlobType.TREE, encode_tree([]))):
        sealed = repository.sealer.seal(content)
        blobs.append(PackedBlob(kind, content_id(content), len(body), len(content) + OVERHEAD, 0))
        body += sealed
    pack_id = store_file(repository.storage, FileType.PACK, body + finish_pack(blobs, repository.sealer))
    repository.save_json(FileType.INDEX, encode_index([(pack_id, blobs)]))
    report = checked(repository, read_data=True)
    assert (errors(report), {hint.kind for hint in report.hints}) == (set(), {"pack-mixed"})


def test_a_pack_whose_content_was_replaced_whole_is_found(repository: Repository) -> None:
    """Its blobs are sealed again, so everything authenticates; only names tell."""
    for key in keys(repository, FileType.PACK):
        repository.storage.put(key, bytes(len(repository.storage.get(key))))
    assert errors(checked(repository, read_data=True)) >= {
        "pack-damaged",
        "pack-header",
        "blob-damaged",
        "tree-damaged",
    }


TREES = [
    (b'{"nodes":[{"name":"a","type":"file","content":null}]}\n', "node-without-content"),
    (b'{"nodes":[{"name":"a","type":"file","content":["' + b"0" * 64 + b'"]}]}\n', "blob-missing"),
    (b'{"nodes":[{"name":"a","type":"dir"}]}\n', "node-without-subtree"),
    (b'{"nodes":[{"name":"a","type":"dir","subtree":"' + b"0" * 64 + b'"}]}\n', "node-without-subtree"),
    (b'{"nodes":[{"name":"a","type":"dir","subtree":"' + b"1" * 64 + b'"}]}\n', "tree-damaged"),
    (b'{"nodes":[{"name":"a","type":"irregular"}]}\n', "node-type"),
    (b'{"nodes":[{"name":"a"}]}\n', "node-type"),
    (b'{"nodes":[{"name":"","type":"fifo"}]}\n', "node-name"),
    (b'{"nodes":[{"name":"..","type":"fifo"}]}\n', "node-name"),
    (b'{"nodes":[{"name":"a/b","type":"fifo"}]}\n', "node-name"),
    (b'{"nodes":[{"name":"\\\\q","type":"fifo"}]}\n', "node-name"),
    (b'{"nodes":[{"name":"b","type":"fifo"},{"name":"a","type":"fifo"}]}\n', "tree-order"),
    (b'{"nodes":[{"name":"a","type":"fifo"},{"name":"\\\\x61","type":"fifo"}]}\n', "tree-order"),
    (b"not a tree\n", "tree-damaged"),
]


@pytest.mark.parametrize(("blob", "expected"), TREES)
def test_a_faulty_tree_is_found(repository: Repository, blob: bytes, expected: str) -> None:
    save_tree(repository, blob)
    assert errors(checked(repository)) == {expected}


def test_a_finding_names_the_path(repository: Repository) -> None:
    with repository.writer() as writer:
        inner = writer.save(BlobType.TREE, b'{"nodes":[{"name":"x","type":"irregular"}]}\n').id
        root = writer.save(BlobType.TREE, encode_tree([dir_node("蔵".encode(), inner)])).id
    snapshot = repository.save_snapshot(Snapshot(time=TIME, tree=root.hex()))
    (finding,) = checked(repository).errors
    assert finding.name == f"{snapshot.short_id}:/蔵/x"


def test_a_file_of_another_size_than_its_content_is_a_hint(repository: Repository) -> None:
    with repository.writer() as writer:
        blob = writer.save(BlobType.DATA, b"12345").id
    save_tree(repository, encode_tree([file_node(b"right", [blob, blob], 10), file_node(b"wrong", [blob], 6)]))
    report = checked(repository)
    assert (errors(report), [hint.kind for hint in report.hints]) == (set(), ["file-size"])
    assert report.hints[0].name.endswith("/wrong")


def test_a_tree_that_many_share_is_checked_once(repository: Repository) -> None:
    with repository.writer() as writer:
        shared = writer.save(BlobType.TREE, encode_tree([Node(name="x", type="irregular")])).id
    save_tree(repository, encode_tree([dir_node(b"%d" % number, shared) for number in range(50)]))
    assert len(checked(repository).errors) == 1


def test_a_storage_that_fails_midway_is_reported() -> None:
    class PacksVanish(MemoryStorage):
        def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
            for info in super().list(prefix):
                if prefix == "data":
                    self.delete(info.key)
                yield info

    storage = PacksVanish()
    save_files(new_repository(storage), {b"a": b"1"})
    report = check(Repository.open(storage, PASSWORD), read_data=True)
    assert errors(report) == {"pack-unreadable", "tree-damaged"}


class Judged(list[bool]):
    """Answers; until there are `enough`, this process has no time for packs."""

    enough: Callable[[Judged], bool] = staticmethod(lambda said: len(said) >= 3)


class TestSecondProcess:
    """Packs of small blobs are verified by a second process, too; what is found is the same."""

    @pytest.fixture
    def crowded(self, monkeypatch: pytest.MonkeyPatch) -> Repository:
        """Packs of small blobs, every one too many for this process: its turn is never free."""
        repository = new_repository()
        for part in range(3):
            save_files(repository, {b"%d" % number: b"%d of %d" % (number, part) * 9 for number in range(40)})
        monkeypatch.setattr(check_module, "_WORTH_A_PROCESS", 1)
        monkeypatch.setattr(check_module, "CROWDED", 10)
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
        return repository

    @pytest.fixture
    def judged(self, monkeypatch: pytest.MonkeyPatch) -> Judged:
        """What the second process said of each part of a pack it was given."""
        said = Judged()
        is_whole = SecondChecker.is_whole

        def watched(self: SecondChecker, pack: bytes, ordered: Sequence[PackedBlob]) -> bool:
            said.append(is_whole(self, pack, ordered))
            return said[-1]

        def slow_trees(self: check_module._Check) -> None:
            deadline = time.monotonic() + 60
            while not said.enough(said) and time.monotonic() < deadline:
                time.sleep(0.01)
            check_trees(self)

        check_trees = check_module._Check.check_trees
        monkeypatch.setattr(SecondChecker, "is_whole", watched)
        monkeypatch.setattr(check_module._Check, "check_trees", slow_trees)
        return said

    def test_a_whole_repository(self, crowded: Repository, judged: Judged) -> None:
        report = checked(crowded, read_data=True)
        assert (report.errors, report.hints) == ([], [])
        assert judged == [True] * 3

    @pytest.mark.parametrize("at", [20, -20])
    def test_a_damaged_pack_is_told_as_ever(self, at: int, crowded: Repository, judged: Judged) -> None:
        key = next(key for key in keys(crowded, FileType.PACK) if is_data(crowded, key))
        flip(crowded, key, at)
        judged.enough = lambda said: len(said) >= 2
        report = checked(crowded, read_data=True)
        assert "pack-damaged" in errors(report)
        assert errors(report) & {"blob-damaged", "pack-header"}
        assert judged == [True, True]  # this one's hash told enough

    def test_a_damaged_blob_in_a_pack_of_the_right_name(self, crowded: Repository, judged: Judged) -> None:
        key = next(key for key in keys(crowded, FileType.PACK) if is_data(crowded, key))
        pack = bytearray(crowded.storage.get(key))
        pack[20] ^= 1
        crowded.storage.delete(key)
        name = content_id(pack).hex()
        crowded.storage.put(object_key(FileType.PACK, name), pack)
        for info in crowded.list_files(FileType.INDEX):
            json = bytes(crowded.load_json(info)).replace(key.rpartition("/")[2].encode(), name.encode())
            crowded.storage.delete(info.key)
            crowded.save_json(FileType.INDEX, json)
        judged.enough = lambda said: False in said
        report = checked(crowded, read_data=True)
        assert [finding.kind for finding in report.errors] == ["blob-damaged"]
        assert judged.count(False) == 1

    def test_many_parts_of_one_pack(self, crowded: Repository, judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(check_module, "PART", 7)
        judged.enough = lambda said: len(said) >= 18
        assert checked(crowded, read_data=True).errors == []
        assert judged == [True] * 18

    def test_one_that_is_killed_is_not_needed(
        self, crowded: Repository, judged: Judged, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ask = SecondProcess.ask

        def kill_and_ask(process: SecondProcess, head: bytes, data: bytes) -> object:
            process._process.kill()
            return ask(process, head, data)

        monkeypatch.setattr(SecondProcess, "ask", kill_and_ask)
        assert checked(crowded, read_data=True).errors == []
        assert judged == [False] * 3


def is_data(repository: Repository, key: str) -> bool:
    blobs = read_header(repository.storage.get(key), repository.sealer)
    return blobs[0].type is BlobType.DATA
