"""Reading many directories at once: few requests, each directory or why there is none."""

from __future__ import annotations

from appliance.errors import KurabakoError
from appliance.repository import BlobType, Repository, Tree, encode_tree
from appliance.repository.errors import DamagedData, MissingData
from appliance.repository.trees import load_trees, walk
from appliance.storage import MemoryStorage, MeteredStorage, StorageWrapper
from appliance.storage.interface import StorageError
from appliance.text import T
from tests.support.repository import dir_node, file_node, new_repository, reopen

COUNT = 600


def _with_trees() -> tuple[Repository, list[bytes]]:
    """A repository that was just opened, and the ids of its directories; each holds one file, named by its number."""
    repository = new_repository(MeteredStorage(MemoryStorage()))
    with repository.writer() as writer:
        ids = [
            writer.save(BlobType.TREE, encode_tree([file_node(b"%d" % number, [], 0)])).id for number in range(COUNT)
        ]
    again = reopen(repository)
    return again, ids


def _names(trees: dict[bytes, Tree | KurabakoError]) -> dict[bytes, str]:
    return {tree_id: tree.nodes[0].name for tree_id, tree in trees.items() if isinstance(tree, Tree)}


def test_neighbours_are_read_with_one_request() -> None:
    repository, ids = _with_trees()
    assert isinstance(repository.storage, MeteredStorage)
    before = repository.storage.counts.gets
    found = dict(load_trees(repository, [*ids, *ids]))
    assert _names(found) == {tree_id: str(number) for number, tree_id in enumerate(ids)}
    assert repository.storage.counts.gets - before <= 3


def test_a_missing_directory_does_not_hide_the_others() -> None:
    repository, ids = _with_trees()
    found = dict(load_trees(repository, [bytes(32), ids[7]]))
    assert isinstance(found.pop(bytes(32)), MissingData)
    assert _names(found) == {ids[7]: "7"}


def test_what_is_no_directory_is_told_by_its_name() -> None:
    repository = new_repository()
    with repository.writer() as writer:
        blob_id = writer.save(BlobType.TREE, b"no tree").id
    ((_, error),) = load_trees(repository, [blob_id])
    assert isinstance(error, DamagedData)
    assert blob_id.hex() in str(error)


def test_a_storage_that_does_not_answer_is_told_for_each() -> None:
    class Mute(StorageWrapper):
        def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
            raise StorageError(T("It does not answer."))

    repository, ids = _with_trees()
    repository.storage = Mute(repository.storage)
    found = dict(load_trees(repository, ids[:3]))
    assert found.keys() == set(ids[:3])
    assert all(isinstance(error, StorageError) for error in found.values())


def test_a_walk_is_in_order_and_takes_few_requests() -> None:
    repository = new_repository(MeteredStorage(MemoryStorage()))
    expected: list[bytes] = []
    with repository.writer() as writer:
        folders = []
        for number in range(COUNT):
            name = b"%04d" % number
            leaf = writer.save(BlobType.TREE, encode_tree([file_node(b"%d" % (number % 3), [], 0)])).id
            middle = writer.save(BlobType.TREE, encode_tree([dir_node(b"a", leaf), file_node(b"b", [], 0)])).id
            folders.append(dir_node(name, middle))
            top = b"/top/" + name
            expected += [top, top + b"/a", top + b"/a/%d" % (number % 3), top + b"/b"]
        root = writer.save(BlobType.TREE, encode_tree(folders)).id
    again = reopen(repository)
    assert isinstance(again.storage, MeteredStorage)
    before = again.storage.counts.gets
    assert [path for path, _ in walk(again, root, b"/top")] == expected
    # One for the top, one for each batch of folders, and one for what is alone in its folder.
    assert again.storage.counts.gets - before <= 1 + 3 + COUNT
