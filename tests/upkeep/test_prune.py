"""Prune: exactly what nobody needs goes, the plan tells it to the byte, and nothing else changes."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from appliance.capacity import CapacityExceeded, GatedStorage, Ledger
from appliance.capacity.policy import Purpose
from appliance.repository import BlobType, DamagedData, MissingData, Repository, encode_tree
from appliance.repository.check import check
from appliance.status.model import Progress
from appliance.storage import MemoryStorage, StorageWrapper
from appliance.storage.interface import AccessDenied, Storage
from appliance.text import T
from appliance.upkeep import (
    NeededPackGone,
    PlanOutdated,
    PruneLimits,
    PrunePlan,
    PruneReport,
    execute_forget,
    execute_prune,
    plan_forget_named,
    plan_prune,
)
from tests.support.repository import dir_node, file_node, new_repository
from tests.upkeep.places import back_up, contents, fresh, noise, pack_bytes, total

ALL = PruneLimits(max_unused=Fraction(0))


def prune(storage: MemoryStorage | StorageWrapper, limits: PruneLimits = ALL) -> tuple[PrunePlan, PruneReport]:
    """Plans and executes; the plan's bytes are those that are there before and after."""
    repository = fresh(storage)
    with repository.lock(exclusive=True):
        plan = plan_prune(repository, limits)
        assert plan.bytes_before == pack_bytes(storage)
        report = execute_prune(repository, plan)
    assert plan.bytes_after == pack_bytes(storage)
    assert report.bytes_freed == plan.bytes_freed
    return plan, report


def forget(storage: MemoryStorage, *ids: str) -> None:
    repository = fresh(storage)
    execute_forget(repository, plan_forget_named(repository, ids))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.repository.lock.SETTLE_SECONDS", 0.0)


@pytest.fixture
def storage() -> MemoryStorage:
    """Three snapshots: the first and the second share a file, the third shares none."""
    repository = new_repository()
    shared = noise(1)
    back_up(repository, 0, {"shared": shared, "old": noise(2)})
    back_up(repository, 1, {"shared": shared, "newer": noise(3)})
    back_up(repository, 2, {"other": noise(4)})
    assert isinstance(repository.storage, MemoryStorage)
    return repository.storage


def test_a_clean_repository_is_left_alone(storage: MemoryStorage) -> None:
    before = {info.key for info in storage.list()}
    plan, report = prune(storage)
    assert plan.nothing_to_do
    assert (plan.blobs_unused, plan.bytes_freed, plan.scratch) == (0, 0, 0)
    assert report == PruneReport()
    assert {info.key for info in storage.list()} == before


def test_what_only_the_forgotten_held_is_gone(storage: MemoryStorage) -> None:
    before = contents(storage)
    first, *others = sorted(fresh(storage).snapshots(), key=lambda snapshot: snapshot.time)
    forget(storage, first.id)
    plan, report = prune(storage)
    assert len(plan.repack) == 1, "the pack that holds the shared file and the old one"
    assert len(plan.delete) == 1, "the trees"
    assert (report.packs_written, report.packs_deleted) == (1, 2)
    after = contents(storage)
    assert after == {snapshot.id: before[snapshot.id] for snapshot in others}
    assert check(fresh(storage)).hints == []
    again, _ = prune(storage)
    assert again.nothing_to_do


def test_the_last_snapshot_gone_leaves_no_pack_and_no_index(storage: MemoryStorage) -> None:
    forget(storage, *contents(storage))
    prune(storage)
    assert pack_bytes(storage) == 0
    assert list(storage.list("index")) == []
    back_up(fresh(storage), 5, {"new": noise(9)})
    assert len(contents(storage)) == 1


def test_waste_is_tolerated_up_to_the_limit(storage: MemoryStorage) -> None:
    first = fresh(storage).snapshots()[0]
    forget(storage, first.id)
    half, _ = prune(storage, PruneLimits(max_unused=Fraction(1, 2)))
    assert not half.repack
    assert half.delete
    assert 20_000 < half.bytes_unused_after < 21_000
    fifth, _ = prune(storage, PruneLimits(max_unused=Fraction(1, 5)))
    assert len(fifth.repack) == 1
    assert fifth.bytes_unused_after == 0


def test_repacking_keeps_within_its_bound(storage: MemoryStorage) -> None:
    forget(storage, fresh(storage).snapshots()[0].id)
    none, _ = prune(storage, PruneLimits(Fraction(0), max_repack_bytes=0))
    assert not none.repack
    assert none.delete
    assert none.bytes_rewritten == 0
    little, _ = prune(storage, PruneLimits(Fraction(0), max_repack_bytes=30_000))
    assert not little.repack
    enough, _ = prune(storage, PruneLimits(Fraction(0), max_repack_bytes=41_000))
    assert enough.repack
    assert enough.bytes_repacked <= 41_000


def test_packs_that_no_index_names_go(storage: MemoryStorage) -> None:
    before = contents(storage)
    storage.put("data/ab/" + "ab" * 32, b"what an interrupted run left")
    storage.put("data/ab/notes.txt", b"not ours")
    plan, _ = prune_unlisted(storage)
    assert plan.bytes_unindexed == 28
    assert contents(storage) == before
    assert {info.key for info in storage.list("data/ab")} >= {"data/ab/notes.txt"}


def prune_unlisted(storage: MemoryStorage) -> tuple[PrunePlan, PruneReport]:
    """As `prune`, where there are files that are no packs."""
    repository = fresh(storage)
    plan = plan_prune(repository, ALL)
    return plan, execute_prune(repository, plan)


def test_many_small_packs_become_one() -> None:
    repository = new_repository()
    for day in range(12):
        back_up(repository, day, {f"file {day}": noise(day, 3000)})
    storage = repository.storage
    before = contents(storage)
    assert len(list(storage.list("data"))) == 24
    plan, _ = prune(storage, PruneLimits())  # type: ignore[arg-type]
    assert len(plan.repack) == 24
    assert len(list(storage.list("data"))) == 2
    assert len(list(storage.list("index"))) <= 2
    assert contents(storage) == before


def test_of_two_copies_one_stays() -> None:
    """As two boxes leave them that backed up the same at once."""
    repository = new_repository()
    one, other = fresh(repository.storage), fresh(repository.storage)
    files = {"same": noise(1), "also": noise(2)}
    back_up(one, 0, files)
    back_up(other, 1, files | {"more": noise(3)})
    before = contents(repository.storage)
    plan, _ = prune(repository.storage)  # type: ignore[arg-type]
    assert plan.blobs_unused == 2
    assert pack_bytes(repository.storage) < 65_000
    assert contents(repository.storage) == before


def twice_the_same() -> MemoryStorage:
    """One used file, stored twice, in packs that hold something unused besides."""
    repository = new_repository()
    one, other = fresh(repository.storage), fresh(repository.storage)
    first = back_up(one, 0, {"same": noise(1), "old": noise(2)})
    second = back_up(other, 1, {"same": noise(1), "older": noise(3)})
    back_up(fresh_with_index(repository.storage), 2, {"same": noise(1)})
    assert isinstance(repository.storage, MemoryStorage)
    forget(repository.storage, first.id, second.id)
    return repository.storage


def test_one_copy_is_saved_from_packs_that_both_hold_waste() -> None:
    storage = twice_the_same()
    before = contents(storage)
    plan, _ = prune(storage)
    assert len(plan.repack) == 1
    assert contents(storage) == before
    assert 20_000 < pack_bytes(storage) < 22_000


@pytest.mark.parametrize("which", [0, 1])
def test_the_copy_that_stays_is_the_one_in_a_whole_pack(which: int) -> None:
    storage = twice_the_same()
    before = contents(storage)
    large = sorted(info.key for info in storage.list("data") if info.size > 20_000)
    assert len(large) == 2
    storage.put(large[which], storage.get(large[which])[:-1])
    prune(storage)
    assert contents(storage) == before
    assert 20_000 < pack_bytes(storage) < 22_000


def test_a_used_blob_that_no_index_knows_stops_everything(storage: MemoryStorage) -> None:
    index = next(iter(storage.list("index")))
    storage.delete(index.key)
    before = {info.key for info in storage.list()}
    with pytest.raises(MissingData):
        plan_prune(fresh(storage))
    assert {info.key for info in storage.list()} == before


def test_a_needed_pack_that_is_gone_or_cut_stops_everything(storage: MemoryStorage) -> None:
    repository = fresh(storage)
    repository.load_index()
    pack_id = repository.blob_location(BlobType.DATA, next(repository.index.blobs(BlobType.DATA))[0]).pack_id.hex()
    key = f"data/{pack_id[:2]}/{pack_id}"
    whole = storage.get(key)
    storage.put(key, whole[:-1])
    with pytest.raises(NeededPackGone) as raised:
        plan_prune(fresh(storage))
    assert pack_id in str(raised.value)
    storage.delete(key)
    with pytest.raises(NeededPackGone):
        plan_prune(fresh(storage))


def test_an_unneeded_pack_that_is_gone_only_leaves_the_index(storage: MemoryStorage) -> None:
    third = fresh(storage).snapshots()[2]
    plan_before = plan_prune(fresh(storage), ALL, without=[third.id])
    forget(storage, third.id)
    for pack_id in plan_before.delete:
        storage.delete(f"data/{pack_id.hex()[:2]}/{pack_id.hex()}")
    plan, _ = prune(storage)
    assert plan.delete == plan_before.delete
    assert plan.bytes_deleted == 0
    assert check(fresh(storage), read_data=True).ok


def test_a_damaged_blob_is_not_copied(storage: MemoryStorage) -> None:
    forget(storage, fresh(storage).snapshots()[0].id)
    plan = plan_prune(fresh(storage), ALL)
    (pack_id,) = plan.repack
    key = f"data/{pack_id.hex()[:2]}/{pack_id.hex()}"
    repository = fresh(storage)
    repository.load_index()
    needed = next(
        location
        for blob_id, location in repository.index.blobs(BlobType.DATA)
        if location.pack_id == pack_id and plan.live.is_needed(BlobType.DATA, blob_id, pack_id, location.offset)
    )
    damaged = bytearray(storage.get(key))
    damaged[needed.offset + 40] ^= 1
    storage.put(key, damaged)
    index = {info.key for info in storage.list("index")}
    with pytest.raises(DamagedData):
        execute_prune(fresh(storage), plan)
    assert {info.key for info in storage.list("index")} == index
    assert storage.stat(key)


def test_a_plan_holds_for_the_repository_it_was_made_for(storage: MemoryStorage) -> None:
    forget(storage, fresh(storage).snapshots()[0].id)
    plan = plan_prune(fresh(storage), ALL)
    back_up(fresh(storage), 7, {"late": noise(7)})
    before = {info.key for info in storage.list()}
    with pytest.raises(PlanOutdated):
        execute_prune(fresh(storage), plan)
    assert {info.key for info in storage.list()} == before


def test_a_full_place_makes_room_for_itself_from_the_reserve(storage: MemoryStorage) -> None:
    forget(storage, fresh(storage).snapshots()[0].id)
    used = total(storage)
    plan = plan_prune(fresh(storage), ALL)
    ledger = Ledger.measure(storage, capacity=used + plan.scratch, reserve=plan.scratch)
    as_data = GatedStorage(storage, ledger)
    with pytest.raises(CapacityExceeded):
        execute_prune(fresh(as_data), plan)
    ledger = Ledger.measure(storage, capacity=used + plan.scratch, reserve=plan.scratch)
    as_upkeep = GatedStorage(storage, ledger, purpose=lambda key: Purpose.UPKEEP)
    execute_prune(fresh(as_upkeep), plan_prune(fresh(as_upkeep), ALL))
    assert total(storage) < used
    assert ledger.usage.used == total(storage)
    assert len(contents(storage)) == 2


def test_a_pack_that_cannot_be_deleted_is_named_and_goes_next_time(storage: MemoryStorage) -> None:
    class Keeps(StorageWrapper):
        def delete(self, key: str) -> None:
            if key.startswith("data/"):
                raise AccessDenied(T("No."))
            super().delete(key)

    forget(storage, fresh(storage).snapshots()[2].id)
    kept = Keeps(storage)
    repository = fresh(kept)
    report = execute_prune(repository, plan_prune(repository, ALL))
    assert len(report.leftovers) == 2
    assert report.packs_deleted == 0
    assert check(fresh(storage), read_data=True).ok
    plan, _ = prune(storage)
    assert len(plan.unindexed) == 2


def test_progress_is_told_in_bytes(storage: MemoryStorage) -> None:
    forget(storage, fresh(storage).snapshots()[0].id)
    repository = fresh(storage)
    told: list[Progress] = []
    execute_prune(repository, plan_prune(repository, ALL), on_progress=told.append)
    assert max(progress.bytes_done for progress in told) > 20_000


@pytest.mark.parametrize("seed", range(8))
def test_random_pasts(seed: int) -> None:
    """Random snapshots over random files of a common stock; some forgotten, pruned, backed up again, and so on."""
    chance = random.Random(seed)
    repository = new_repository()
    storage = repository.storage
    assert isinstance(storage, MemoryStorage)
    stock = [noise(number, chance.choice([10, 500, 30_000])) for number in range(40)]
    day = 0
    for _ in range(5):
        for _ in range(chance.randrange(1, 5)):
            day += 1
            back_up(fresh_with_index(storage), day, {str(n): stock[n] for n in chance.sample(range(40), 8)})
        before = contents(storage)
        gone = chance.sample(sorted(before), chance.randrange(len(before)))
        forget(storage, *gone)
        limits = PruneLimits(Fraction(chance.randrange(0, 100, 10), 100), chance.choice([None, 0, 60_000]))
        plan, _ = prune(storage, limits)
        assert limits.max_repack_bytes is None or plan.bytes_repacked <= limits.max_repack_bytes
        assert contents(storage) == {each: files for each, files in before.items() if each not in gone}
        assert check(fresh(storage)).hints == []
    prune(storage)
    last, _ = prune(storage)
    assert last.blobs_unused == last.bytes_unused_after == 0


def fresh_with_index(storage: Storage) -> Repository:
    repository = fresh(storage)
    repository.load_index()
    return repository


def test_all_of_a_deep_tree_is_kept() -> None:
    repository = new_repository()
    with repository.writer() as writer:
        leaf = writer.save(BlobType.DATA, noise(1)).id
        tree = writer.save(BlobType.TREE, encode_tree([file_node(b"leaf", [leaf], 20_000)])).id
        for depth in range(60):
            tree = writer.save(BlobType.TREE, encode_tree([dir_node(b"%d" % depth, tree)])).id
        root = tree
    back_up(repository, 0, {"gone": noise(2)})
    snapshot = fresh(repository.storage).snapshots()[0]
    kept = repository.save_snapshot(type(snapshot)(time=snapshot.time, tree=root.hex(), paths=["/deep"]))
    forget(repository.storage, snapshot.id)  # type: ignore[arg-type]
    prune(repository.storage)  # type: ignore[arg-type]
    assert list(contents(repository.storage)) == [kept.id]
