"""The repository as a whole: what one process writes, another reads."""

from __future__ import annotations

import pytest

from appliance.repository import (
    AmbiguousSnapshot,
    BlobType,
    NotARepository,
    Repository,
    RepositoryExists,
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


def test_a_name_that_several_snapshots_share_is_refused() -> None:
    repository = new_repository()
    saved = save_files(repository, {b"a": b"1"})
    repository.storage.put(f"snapshots/{saved.id[:32]}{'0' * 32}", b"another")
    with pytest.raises(AmbiguousSnapshot):
        repository.find_snapshot(saved.short_id)
