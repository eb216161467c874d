"""What is held back stays in the vault, to the byte, while everything else is replicated and can be restored."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from contextlib import nullcontext

import pytest

from appliance.capacity import GatedStorage, Ledger
from appliance.replication import ReplicationReport, mirror
from appliance.repository import FileType, Repository, Snapshot
from appliance.repository.ids import content_id
from appliance.repository.pack import read_header
from appliance.repository.trees import walk
from appliance.status.model import Outcome
from appliance.storage import MemoryStorage
from appliance.storage.interface import Storage
from tests.replication.test_deletions import forget
from tests.support.repository import new_repository
from tests.upkeep.places import back_up, contents, fresh, noise

OWN, OTHER = "/payroll", "/share"


def send(vault: Storage, cloud: Storage, held: Collection[str] = (), gone: Collection[str] = ()) -> ReplicationReport:
    gated = GatedStorage(cloud, Ledger.measure(cloud, capacity=None))
    return mirror(
        fresh(vault),
        gated,
        forgotten=gone,
        together=nullcontext,
        alone=nullcontext,
        stays=lambda one: bool(set(one.paths) & set(held)),
    )


def blobs_of(repository: Repository, snapshots: Iterable[Snapshot]) -> set[bytes]:
    found = set()
    for each in snapshots:
        found.add(each.tree_id)
        for _, node in walk(repository, each.tree_id):
            found.update(node.content_ids, [node.subtree_id] if node.subtree else [])
    return found


def packs_in(storage: Storage) -> list[set[bytes]]:
    """The blobs of each pack of a place, by the packs' own headers."""
    repository = fresh(storage)
    packs = (storage.get(info.key) for info in repository.list_files(FileType.PACK))
    return [{blob.id for blob in read_header(pack, repository.sealer)} for pack in packs]


def blobs_in(storage: Storage) -> set[bytes]:
    return set().union(*packs_in(storage))


def require_apart(vault: Storage, cloud: Storage, held: Collection[str], before: Collection[bytes] = ()) -> None:
    """Nothing that only `held` paths need is in the cloud, but what others needed `before`; the others are whole."""
    repository = fresh(vault)
    snapshots = repository.snapshots()
    repository.load_index()
    free = [each for each in snapshots if each.paths[0] not in held]
    stays = [each for each in snapshots if each.paths[0] in held]
    assert not blobs_in(cloud) & (blobs_of(repository, stays) - blobs_of(repository, free)).difference(before)
    assert set(contents(cloud)) == {each.id for each in free}


def test_the_others_go_and_what_is_held_follows_when_it_is_let_go() -> None:
    repository = new_repository()
    vault, cloud = repository.storage, MemoryStorage()
    stays = back_up(repository, 0, {"salaries": noise(1), "logo": noise(2)}, OWN)
    goes = back_up(repository, 1, {"plan": noise(3), "logo": noise(2)}, OTHER)
    report = send(vault, cloud, [OWN])
    assert (report.outcome, report.snapshots, report.held) == (Outcome.DONE, (goes.id,), (stays.id,))
    require_apart(vault, cloud, [OWN])
    assert send(vault, cloud, [OWN]).files == 0, "and once is enough"
    report = send(vault, cloud)
    assert (report.snapshots, report.held) == ((stays.id,), ())
    assert contents(cloud) == contents(vault)


def test_packs_and_index_files_that_a_prune_mixed_do_not_carry_it_out() -> None:
    repository = new_repository()
    vault, cloud = repository.storage, MemoryStorage()
    old = [back_up(repository, day, {"a": noise(10 + day), "b": noise(20 + day)}, OWN) for day in range(2)]
    old += [back_up(repository, 5 + day, {"c": noise(30 + day), "d": noise(40 + day)}, OTHER) for day in range(2)]
    back_up(repository, 8, {"a": noise(10), "b": noise(51)}, OWN)
    back_up(repository, 9, {"c": noise(30), "d": noise(52)}, OTHER)
    forget(vault, [each.id for each in old])
    both = {content_id(noise(10)), content_id(noise(30))}
    assert any(both <= pack for pack in packs_in(vault)), "one pack has something of both"
    send(vault, cloud, [OWN])
    require_apart(vault, cloud, [OWN])


def test_deletions_in_the_cloud_go_on_beside_a_hold() -> None:
    repository = new_repository()
    vault, cloud = repository.storage, MemoryStorage()
    back_up(repository, 0, {"a": noise(1), "b": noise(2)}, OWN)
    gone = back_up(repository, 1, {"c": noise(3), "d": noise(4), "e": noise(5)}, OTHER)
    back_up(repository, 2, {"c": noise(3), "f": noise(6)}, OTHER)
    send(vault, cloud, [OWN])
    forget(vault, [gone.id])
    report = send(vault, cloud, [OWN], [gone.id])
    assert report.kept_back is None and report.carried
    require_apart(vault, cloud, [OWN])
    assert content_id(noise(4)) not in blobs_in(cloud)


def test_what_was_sent_before_the_hold_is_still_kept_whole_there() -> None:
    repository = new_repository()
    vault, cloud = repository.storage, MemoryStorage()
    first = back_up(repository, 0, {"a": noise(1)}, OWN)
    send(vault, cloud)
    second = back_up(repository, 1, {"a": noise(1), "b": noise(2)}, OWN)
    report = send(vault, cloud, [OWN])
    assert report.held == (second.id,)
    assert set(contents(cloud)) == {first.id}


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_in_whatever_order(seed: int) -> None:
    print("seed", seed)
    chance = random.Random(seed)
    repository = new_repository()
    vault, cloud = repository.storage, MemoryStorage()
    gone: set[str] = set()
    sent: set[bytes] = set()
    for day in range(12):
        path = chance.choice([OWN, OTHER, "/third"])
        files = {f"f{number}": noise(chance.randrange(12), 5_000) for number in range(chance.randrange(1, 5))}
        writing = fresh(vault)
        writing.load_index()
        back_up(writing, day, files, path)
        if chance.random() < 0.4:
            names = [each.id for each in fresh(vault).snapshots() if chance.random() < 0.3]
            gone |= set(names)
            forget(vault, names)
        if chance.random() < 0.5:
            assert send(vault, cloud, [OWN], gone).kept_back is None
            require_apart(vault, cloud, [OWN], sent)
            sent |= blobs_in(cloud)
    send(vault, cloud, [OWN], gone)
    require_apart(vault, cloud, [OWN], sent)
    send(vault, cloud, (), gone)
    assert contents(cloud) == contents(vault)
