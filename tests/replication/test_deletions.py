"""Deletions reach the cloud last, only those that were meant, and a full cloud is made to fit again by them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from fractions import Fraction

import pytest

from appliance.capacity import GatedStorage, Ledger
from appliance.replication import ReplicationReport, VaultLacks, VaultNotWhole, mirror
from appliance.repository import FileType, Repository
from appliance.repository.errors import RepositoryLocked
from appliance.status.model import Outcome
from appliance.storage import MemoryStorage
from appliance.storage.interface import Storage
from appliance.upkeep import PruneLimits, execute_forget, execute_prune, plan_forget_named, plan_prune
from tests.support.power import objects_of
from tests.support.repository import new_repository
from tests.upkeep.places import back_up, contents, fresh, noise, total

ALL = PruneLimits(max_unused=Fraction(0))


def vault_of_four() -> MemoryStorage:
    """Four snapshots with packs that need every treatment: to go, to be packed anew, to stay."""
    repository = new_repository()
    shared = noise(1)
    back_up(repository, 0, {"shared": shared, "first": noise(2)})
    back_up(repository, 1, {"shared": shared, "second": noise(3), "seconds": noise(4)})
    back_up(repository, 2, {"third": noise(5)})
    back_up(repository, 3, {"third": noise(5), "fourth": noise(6)})
    assert isinstance(repository.storage, MemoryStorage)
    return repository.storage


def carry(
    vault: Storage, cloud: Storage, forgotten: Collection[str] = (), capacity: int | None = None, reserve: int = 0
) -> ReplicationReport:
    ledger = Ledger.measure(cloud, capacity=capacity, reserve=reserve)
    gated = GatedStorage(cloud, ledger)
    report = mirror(fresh(vault), gated, forgotten=forgotten, together=nullcontext, alone=nullcontext)
    assert ledger.usage.used == total(cloud)
    assert capacity is None or total(cloud) <= capacity
    return report


def ids(storage: Storage) -> list[str]:
    return [snapshot.id for snapshot in fresh(storage).snapshots()]


def forget(storage: Storage, names: Collection[str], limits: PruneLimits = ALL, apart: Collection[str] = ()) -> None:
    """Forgets and prunes, keeping apart in the index what is in the packs `apart`."""
    repository = fresh(storage)
    execute_forget(repository, plan_forget_named(repository, names))
    execute_prune(repository, plan_prune(repository, limits), together=lambda pack_id, _: pack_id.hex() in apart)


def packs(storage: Storage) -> set[str]:
    return {info.key.rpartition("/")[2] for info in storage.list("data")}


def test_the_cloud_becomes_what_the_vault_is() -> None:
    vault, cloud = vault_of_four(), MemoryStorage()
    carry(vault, cloud)
    gone = ids(vault)[:2]
    forget(vault, gone)
    report = carry(vault, cloud, gone)
    assert report.outcome is Outcome.DONE
    assert report.carried
    assert report.deleted > 4
    assert objects_of(cloud) == objects_of(vault)
    assert contents(cloud) == contents(vault)
    assert not carry(vault, cloud, gone).deleted


def test_what_nobody_forgot_is_not_deleted() -> None:
    vault, cloud = vault_of_four(), MemoryStorage()
    carry(vault, cloud)
    before = objects_of(cloud)
    names = ids(vault)
    forget(vault, names[:2])
    report = carry(vault, cloud, names[:1])
    assert isinstance(report.kept_back, VaultLacks)
    assert report.kept_back.snapshots == (names[1],)
    assert before.items() <= objects_of(cloud).items()


@pytest.mark.parametrize("kind", [FileType.SNAPSHOT, FileType.INDEX, FileType.PACK])
def test_a_vault_that_lost_files_takes_nothing_from_the_cloud(kind: FileType) -> None:
    """Each file of each kind, alone and all together, and even when every snapshot was forgotten on purpose before."""
    whole, cloud = vault_of_four(), MemoryStorage()
    carry(whole, cloud)
    everything = objects_of(whole)
    keys = [key for key in everything if key.startswith(kind)]
    for lost in (*([key] for key in keys), keys):
        vault = MemoryStorage()
        for key in everything.keys() - set(lost):
            vault.put(key, everything[key])
        report = carry(vault, cloud, [])
        assert objects_of(cloud) == everything
        assert report.kept_back is not None, lost


def test_an_emptied_vault_takes_nothing_even_if_something_was_forgotten() -> None:
    vault, cloud = vault_of_four(), MemoryStorage()
    carry(vault, cloud)
    before = objects_of(cloud)
    gone = ids(vault)[:1]
    for key in list(objects_of(vault)):
        if not key.startswith(("config", "keys")):
            vault.delete(key)
    assert isinstance(carry(vault, cloud, gone).kept_back, VaultLacks)
    assert objects_of(cloud) == before


def test_a_pack_that_a_snapshot_needs_is_not_deleted_because_the_vault_lost_it() -> None:
    vault, cloud = vault_of_four(), MemoryStorage()
    carry(vault, cloud)
    gone = ids(vault)[:1]
    forget(vault, gone)
    carry(vault, cloud, gone)
    needed = sorted(packs(vault))[0]
    vault.delete(f"data/{needed[:2]}/{needed}")
    assert isinstance(carry(vault, cloud, gone).kept_back, VaultNotWhole)
    assert needed in packs(cloud)


def test_strangers_files_stay() -> None:
    vault, cloud = vault_of_four(), MemoryStorage()
    carry(vault, cloud)
    cloud.put("data/notes.txt", b"mine")
    cloud.put("snapshots/readme", b"mine")
    gone = ids(vault)[:1]
    forget(vault, gone)
    assert carry(vault, cloud, gone).carried
    assert {"data/notes.txt", "snapshots/readme"} <= objects_of(cloud).keys()


def test_who_reads_the_cloud_meanwhile_is_not_disturbed() -> None:
    vault, cloud = vault_of_four(), MemoryStorage()
    carry(vault, cloud)
    gone = ids(vault)[:1]
    forget(vault, gone)

    @contextmanager
    def taken() -> Iterator[None]:
        raise RepositoryLocked(who="kura", hostname="other", pid=1, since="now", exclusive=False)
        yield

    gated = GatedStorage(cloud, Ledger.measure(cloud, capacity=None))
    report = mirror(fresh(vault), gated, forgotten=gone, together=nullcontext, alone=taken)
    assert isinstance(report.kept_back, RepositoryLocked)
    assert report.outcome is Outcome.DONE
    assert gone[0] in ids(cloud)


def test_a_full_cloud_is_made_to_fit_again() -> None:
    """A snapshot waits for room. What was forgotten makes it, packs written anew pass into the reserve meanwhile."""
    vault, cloud = vault_of_four(), MemoryStorage()
    carry(vault, cloud)
    reserve = 150_000
    capacity = total(cloud) + reserve + 1000
    waiting = back_up(fresh_with_index(vault), 4, {"fifth": noise(7, 30_000)})
    refused = carry(vault, cloud, capacity=capacity, reserve=reserve)
    assert refused.outcome is Outcome.REFUSED
    gone = ids(vault)[:2]
    forget(vault, gone, apart=packs(cloud))
    report = carry(vault, cloud, gone, capacity, reserve)
    assert report.outcome is Outcome.DONE, report
    assert waiting.id in report.snapshots
    assert contents(cloud) == contents(vault)
    assert objects_of(cloud) == objects_of(vault)


def test_an_index_that_names_what_still_waits_does_not_go_before_it() -> None:
    """Kept apart in the index, what waits holds up no deletion; thrown together, it does, and nothing is lost."""
    for apart in (True, False):
        vault, cloud = vault_of_four(), MemoryStorage()
        carry(vault, cloud)
        reserve = 30_000
        capacity = total(cloud) + reserve + 1000
        back_up(fresh_with_index(vault), 4, {"huge": noise(8, 400_000)})
        carry(vault, cloud, capacity=capacity, reserve=reserve)
        gone = ids(vault)[:1]
        there = contents(cloud)
        forget(vault, gone, PruneLimits(Fraction(1), 0), packs(cloud) if apart else ())
        report = carry(vault, cloud, gone, capacity, reserve)
        assert report.carried is apart
        assert contents(cloud) == {name: there[name] for name in there if not apart or name not in gone}


def fresh_with_index(storage: Storage) -> Repository:
    repository = fresh(storage)
    repository.load_index()
    return repository
