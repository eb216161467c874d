"""Forgetting: what goes, what each snapshot alone holds, and how much room forgetting makes."""

from __future__ import annotations

import random
from datetime import UTC
from fractions import Fraction

import pytest

from appliance.repository import Repository, SnapshotNotFound
from appliance.storage import MemoryStorage
from appliance.upkeep import (
    EmptiesGroup,
    Period,
    Policy,
    PruneLimits,
    execute_forget,
    execute_prune,
    plan_forget,
    plan_forget_named,
    plan_make_room,
    plan_prune,
)
from appliance.upkeep.blobs import stored_size
from appliance.upkeep.prune import PACK_OVERHEAD
from tests.support.repository import new_repository
from tests.upkeep.places import NOW, back_up, contents, fresh, noise, pack_bytes, total

ALL = PruneLimits(max_unused=Fraction(0))
LAST = Policy({Period.LAST: 1})


@pytest.fixture
def repository() -> Repository:
    """Three snapshots: `a` in one, `b` in two, `c` in all three, `d` in the last."""
    repository = new_repository()
    a, b, c, d = (noise(seed, 10_000 * (seed + 1)) for seed in range(4))
    back_up(repository, 0, {"a": a, "b": b, "c": c})
    back_up(repository, 1, {"b": b, "c": c})
    back_up(repository, 2, {"c": c, "d": d})
    return repository


def prune(storage: MemoryStorage) -> None:
    repository = fresh(storage)
    execute_prune(repository, plan_prune(repository, ALL))


def blob_bytes(storage: MemoryStorage) -> int:
    """All packs without what a pack takes besides its blobs."""
    return pack_bytes(storage) - PACK_OVERHEAD * len(list(storage.list("data")))


def test_only_snapshot_files_go(repository: Repository) -> None:
    storage = repository.storage
    before = {info.key for info in storage.list()}
    snapshots = repository.snapshots()
    plan = plan_forget(fresh(storage), LAST, now=NOW, zone=UTC)
    assert plan.forget == tuple(snapshots[:2])
    assert plan.ids == {snapshot.id for snapshot in snapshots[:2]}
    assert not plan.unique_bytes
    assert {info.key for info in storage.list()} == before, "a plan changes nothing"
    told: list[str] = []
    execute_forget(fresh(storage), plan, on_forgotten=lambda snapshot: told.append(snapshot.id))
    assert told == [snapshot.id for snapshot in snapshots[:2]]
    assert before - {info.key for info in storage.list()} == {f"snapshots/{each}" for each in told}


def test_the_last_of_a_group_stays(repository: Repository) -> None:
    with pytest.raises(EmptiesGroup):
        plan_forget(repository, Policy(tags=(("none",),)), now=NOW, zone=UTC)


def test_snapshots_are_named_one_by_one(repository: Repository) -> None:
    first = repository.snapshots()[0]
    plan = plan_forget_named(repository, [first.id[:8], first.id[:6]])
    assert plan.forget == (first,)
    assert plan.groups == ()
    with pytest.raises(SnapshotNotFound):
        plan_forget_named(repository, ["00000000"])


def test_what_a_snapshot_alone_holds_is_what_a_prune_frees_after_it(repository: Repository) -> None:
    objects = {info.key: repository.storage.get(info.key) for info in repository.storage.list()}
    plan = plan_forget(fresh(repository.storage), LAST, now=NOW, zone=UTC, measure=True)
    assert len(plan.unique_bytes) == 3
    for snapshot in repository.snapshots():
        storage = MemoryStorage()
        for key, data in objects.items():
            storage.put(key, data)
        before = blob_bytes(storage)
        execute_forget(fresh(storage), plan_forget_named(fresh(storage), [snapshot.id]))
        prune(storage)
        assert before - blob_bytes(storage) == plan.unique_bytes[snapshot.id]
    held = [plan.unique_bytes[snapshot.id] for snapshot in repository.snapshots()]
    assert [round(size, -4) for size in held] == [10_000, 0, 40_000]


def test_two_snapshots_of_the_same_hold_nothing_alone(repository: Repository) -> None:
    files = {"c": noise(2, 30_000), "d": noise(3, 40_000)}
    again = fresh(repository.storage)
    again.load_index()
    back_up(again, 3, files)
    plan = plan_forget(fresh(repository.storage), LAST, now=NOW, zone=UTC, measure=True)
    assert [plan.unique_bytes[snapshot.id] for snapshot in repository.snapshots()[2:]] == [0, 0]


def test_further_copies_belong_to_nobody(repository: Repository) -> None:
    """A blob that is stored twice counts once: the other copy goes with any prune."""
    before = plan_forget(fresh(repository.storage), LAST, now=NOW, zone=UTC, measure=True)
    stranger = Repository.open(repository.storage, "正しい password")  # knows no index, so stores all anew
    back_up(stranger, 2, {"c": noise(2, 30_000), "d": noise(3, 40_000)}, path="/share")
    latest = fresh(repository.storage).snapshots()[-2:]
    after = plan_forget(fresh(repository.storage), LAST, now=NOW, zone=UTC, measure=True)
    assert [after.unique_bytes[snapshot.id] for snapshot in latest] == [0, 0]
    first = repository.snapshots()[0].id
    assert after.unique_bytes[first] == before.unique_bytes[first]
    room = plan_make_room(fresh(repository.storage), 1, LAST, now=NOW, zone=UTC)
    assert room.already_free > 70_000
    assert room.forget == ()
    assert room.enough


@pytest.mark.parametrize("seed", range(6))
def test_room_is_made_exactly_and_with_no_more_than_needed(seed: int) -> None:
    chance = random.Random(seed)
    repository = new_repository()
    stock = [noise(number, chance.randrange(100, 20_000)) for number in range(30)]
    for day in range(8):
        again = fresh(repository.storage)
        again.load_index()
        back_up(again, day, {str(number): stock[number] for number in chance.sample(range(30), 6)})
    storage = repository.storage
    assert isinstance(storage, MemoryStorage)
    everything = plan_make_room(fresh(storage), 1 << 40, LAST, now=NOW, zone=UTC)
    assert not everything.enough
    assert everything.most == everything.freed
    assert len(everything.forget) == 7
    wanted = chance.randrange(1, everything.most)
    plan = plan_make_room(fresh(storage), wanted, LAST, now=NOW, zone=UTC)
    assert plan.enough
    assert plan.freed - plan.forget[-1][1] < wanted, "one less would not do"
    assert [snapshot.id for snapshot, _ in plan.forget] == [
        snapshot.id for snapshot in repository.snapshots()[: len(plan.forget)]
    ]
    kept = {each: files for each, files in contents(storage).items() if each not in {s.id for s, _ in plan.forget}}
    before, stored = blob_bytes(storage), total(storage)
    execute_forget(fresh(storage), plan_forget_named(fresh(storage), [snapshot.id for snapshot, _ in plan.forget]))
    prune(storage)
    assert before - blob_bytes(storage) == plan.freed
    assert stored - total(storage) >= plan.freed >= wanted
    assert contents(storage) == kept


def test_the_rules_are_honoured(repository: Repository) -> None:
    plan = plan_make_room(repository, 1 << 40, Policy({Period.LAST: 2}), now=NOW, zone=UTC)
    assert [snapshot.id for snapshot, _ in plan.forget] == [repository.snapshots()[0].id]
    assert not plan.enough


def test_sizes_count_the_blob_and_its_header_entry(repository: Repository) -> None:
    repository.index = type(repository.index)()
    repository.load_index()
    blobs = sum(stored_size(location) for kind in (0, 1) for _, location in repository.index.blobs(kind))  # type: ignore[arg-type]
    assert isinstance(repository.storage, MemoryStorage)
    assert blobs == blob_bytes(repository.storage)
