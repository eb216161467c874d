"""The repository as a whole: what one process writes, another reads."""

from __future__ import annotations

import pytest

from appliance.repository import (
    AmbiguousSnapshot,
    BlobType,
    DamagedData,
    FileType,
    NotARepository,
    Repository,
    RepositoryExists,
    Snapshot,
    SnapshotNotFound,
    WrongPassword,
)
from appliance.storage import MemoryStorage
from tests.support.repository import CHEAP, NOW, PASSWORD, new_repository, reopen, save_files


def test_what_was_saved_is_read_back() -> None:
    repository = new_repository()
    files = {"日本.txt".encode(): b"hello" * 1000, b"\xff\n": bytes(range(256)), b"empty": b""}
    saved = save_files(repository, files)

    again = reopen(repository)
    snapshot = again.find_snapshot("latest")
    assert snapshot == saved == again.find_snapshot(saved.short_id)
    (folder,) = again.load_tree(snapshot.tree_id).nodes
    tree = again.load_tree(folder.subtree_id)
    assert [node.raw_name for node in tree.nodes] == sorted(files)
    for node in tree.nodes:
        content = b"".join(bytes(again.load_blob(BlobType.DATA, blob)) for blob in node.content_ids)
        assert content == files[node.raw_name]


def test_a_second_repository_in_the_same_place_is_refused() -> None:
    storage = new_repository().storage
    with pytest.raises(RepositoryExists):
        new_repository(storage)


def test_several_passwords_open_one_repository() -> None:
    repository = new_repository()
    repository.add_key("recovery", hostname="box", username="kura", now=lambda: NOW, cost=CHEAP)
    assert reopen(repository, "recovery").id == reopen(repository, PASSWORD).id
    with pytest.raises(WrongPassword) as caught:
        reopen(repository, "wrong")
    assert caught.value.exit_code == 12
    assert "wrong" not in str(caught.value)


def test_an_empty_place_is_not_a_repository() -> None:
    with pytest.raises(NotARepository):
        Repository.open(MemoryStorage(), PASSWORD)


def test_snapshots_are_found_by_the_beginning_of_their_name() -> None:
    repository = new_repository()
    saved = save_files(repository, {b"a": b"1"})
    assert repository.find_snapshot(saved.id[:12].upper()) == saved
    for name in ("", "ab", "0" * 8, "nothex!!"):
        with pytest.raises(SnapshotNotFound):
            repository.find_snapshot(name)


def test_a_damaged_snapshot_does_not_hide_the_others() -> None:
    repository = new_repository()
    saved = save_files(repository, {b"a": b"1"})
    repository.storage.put(f"snapshots/{'0' * 64}", b"noise")
    with pytest.raises(DamagedData, match="snapshots/000"):
        repository.snapshots()
    damaged: list[DamagedData] = []
    assert repository.snapshots(damaged.append) == [saved]
    assert len(damaged) == 1
    assert repository.find_snapshot(saved.short_id) == saved


def test_snapshots_come_in_the_order_of_their_times() -> None:
    repository = new_repository()
    times = ["2024-05-01T00:00:00.5Z", "2024-05-01T09:00:00+09:00", "2023-01-01T00:00:00Z"]
    for time in times:
        repository.save_snapshot(Snapshot(time=time, tree="0" * 64))
    assert [snapshot.time for snapshot in repository.snapshots()] == [times[2], times[1], times[0]]
    assert repository.find_snapshot("latest").time == times[0]


def test_loading_the_index_tells_how_far_it_is() -> None:
    repository = new_repository()
    for content in (b"1", b"2"):
        save_files(repository, {b"a": content})
    again = Repository.open(repository.storage, PASSWORD)
    steps: list[tuple[int, int]] = []
    again.load_index(lambda done, total: steps.append((done, total)))
    total = sum(info.size for info in again.list_files(FileType.INDEX))
    assert steps[-1] == (total, total)
    assert len(steps) == 2
    for kind in BlobType:
        assert again.index.count(kind) == repository.index.count(kind)


@pytest.mark.parametrize("folder", ["keys", "snapshots"])
def test_a_place_with_parts_of_a_repository_is_refused(folder: str) -> None:
    storage = MemoryStorage()
    storage.put(f"{folder}/{'0' * 64}", b"part")
    with pytest.raises(RepositoryExists):
        new_repository(storage)


def test_damaged_keys_and_config_are_told_from_a_wrong_password() -> None:
    storage = new_repository().storage
    (key,) = storage.list("keys")
    config, key_file = storage.get("config"), storage.get(key.key)
    for damaged in (b"", b"noise", config[:-1], bytes(100_000)):
        storage.put("config", damaged)
        with pytest.raises(DamagedData, match="config"):
            Repository.open(storage, PASSWORD)
    storage.put("config", config)
    for damaged in (b"", key_file[:-1], bytes(100_000)):
        storage.put(key.key, damaged)
        with pytest.raises(DamagedData, match="keys/"):
            Repository.open(storage, PASSWORD)
    storage.delete(key.key)
    with pytest.raises(DamagedData):
        Repository.open(storage, PASSWORD)


def test_no_error_and_no_repr_holds_a_password() -> None:
    repository = new_repository()
    with pytest.raises(WrongPassword) as caught:
        Repository.open(repository.storage, "hunter2hunter2")
    for said in (str(caught.value), caught.value.render("ja"), repr(caught.value), repr(repository)):
        assert "hunter2" not in said
        assert PASSWORD not in said


def test_a_name_that_several_snapshots_share_is_refused() -> None:
    repository = new_repository()
    saved = save_files(repository, {b"a": b"1"})
    repository.storage.put(f"snapshots/{saved.id[:32]}{'0' * 32}", b"another")
    with pytest.raises(AmbiguousSnapshot):
        repository.find_snapshot(saved.short_id)
