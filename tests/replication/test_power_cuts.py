"""The power is cut after every single operation of a replication, and of the upkeep it follows. Every one.

After each prefix of what reached the cloud (and, for the upkeep, the vault): every snapshot that is named there reads
back byte for byte, none is missing that nobody forgot, stock restic finds no error in any byte, what a new listing
counts is what is stored, and the same work begun again ends as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.capacity import GatedStorage, Ledger
from appliance.replication import ReplicationReport, mirror
from appliance.storage import MemoryStorage
from appliance.storage.interface import Storage
from appliance.upkeep import execute_forget, execute_prune, plan_forget_named, plan_prune
from tests.replication.test_deletions import ALL, fresh_with_index, ids, vault_of_four
from tests.support.power import RecordingStorage, after_reboot, objects_of, storage_of, write_folder
from tests.support.restic_judge import ResticJudge
from tests.upkeep.places import back_up, contents, fresh, noise, total
from tests.upkeep.test_power_cuts import restic

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.repository.lock.SETTLE_SECONDS", 0.0)


def replicate(vault: Storage, cloud: Storage, forgotten: Collection[str]) -> ReplicationReport:
    """As the box does it, with its locks at both places."""
    ledger = Ledger.measure(cloud, capacity=None)
    gated = GatedStorage(cloud, ledger)
    repository = fresh(vault)

    def lock(exclusive: bool) -> Callable[[], object]:
        return lambda: fresh(gated).lock(exclusive=exclusive, owner=after_reboot())

    begun = any(cloud.list("keys")) and any(info.key == "config" for info in cloud.list())
    with repository.lock(owner=after_reboot()):
        report = mirror(
            repository,
            gated,
            forgotten=forgotten,
            together=lock(False) if begun else nullcontext,  # type: ignore[arg-type]
            alone=lock(True),  # type: ignore[arg-type]
        )
    assert report.problem is None
    assert report.kept_back is None
    assert ledger.usage.used == total(cloud)
    return report


def tidy(storage: Storage, forgotten: Collection[str]) -> None:
    """The box's upkeep of the vault: forget, then prune."""
    repository = fresh(storage)
    with repository.lock(exclusive=True, owner=after_reboot()):
        there = {snapshot.id for snapshot in repository.snapshots()}
        execute_forget(repository, plan_forget_named(repository, [each for each in forgotten if each in there]))
        execute_prune(repository, plan_prune(repository, ALL))


@dataclass
class Scene:
    """A vault, its cloud as it was, and what may go."""

    vault: MemoryStorage
    cloud: MemoryStorage
    forgotten: tuple[str, ...] = ()


def first() -> Scene:
    return Scene(vault_of_four(), MemoryStorage())


def incremental() -> Scene:
    scene = first()
    replicate(scene.vault, scene.cloud, ())
    back_up(fresh_with_index(scene.vault), 4, {"third": noise(5), "fifth": noise(7)})
    return scene


def with_deletions() -> Scene:
    """Two snapshots are gone from the vault, packs were written anew, and a new snapshot has come."""
    scene = incremental()
    gone = tuple(ids(scene.vault)[:2])
    tidy(scene.vault, gone)
    return Scene(scene.vault, scene.cloud, gone)


@pytest.mark.needs("restic")
@pytest.mark.parametrize("scene_of", [first, incremental, with_deletions])
def test_replication(scene_of: Callable[[], Scene], tmp_path: Path) -> None:
    scene = scene_of()
    before = contents(scene.cloud) if any(scene.cloud.list("snapshots")) else {}
    reported = before | contents(scene.vault)
    recording = RecordingStorage(storage_of(objects_of(scene.cloud)))
    replicate(scene.vault, recording, scene.forgotten)
    kinds = {str(operation) for operation in recording.operations}
    assert ("delete data" in kinds) is bool(scene.forgotten)
    states = list(recording.states())
    assert len(states) < 80
    for number, (name, state) in enumerate(states):
        is_repository = any(info.key == "config" for info in state.list())
        if is_repository:
            there = contents(state)
            assert there == {each: reported[each] for each in there}, name
            assert before.keys() - set(scene.forgotten) <= there.keys(), name
            with fresh(state).lock(exclusive=True, owner=after_reboot()):
                pass  # the box clears its dead locks before it does anything
            folder = tmp_path / str(number)
            write_folder(state, folder)
            assert "no errors were found" in restic(folder, "check", "--read-data"), name
        replicate(scene.vault, state, scene.forgotten)
        assert objects_of(state) == objects_of(scene.vault), name


@pytest.mark.needs("restic")
def test_upkeep_then_replication() -> None:
    """Cut anywhere in the vault's upkeep, a replication of what is there then harms nothing, and all ends well."""
    scene = incremental()
    replicate(scene.vault, scene.cloud, ())
    gone = ids(scene.vault)[:2]
    reported = contents(scene.vault)
    kept = {name: files for name, files in reported.items() if name not in gone}
    recording = RecordingStorage(storage_of(objects_of(scene.vault)))
    tidy(recording, gone)
    judge = ResticJudge()
    for name, vault in recording.states():
        assert not judge.errors(vault), name
        cloud = storage_of(objects_of(scene.cloud))
        replicate(vault, cloud, gone)
        there = contents(cloud)
        assert kept.items() <= there.items() <= reported.items(), name
        assert not judge.errors(cloud), name
        tidy(vault, gone)
        replicate(vault, cloud, gone)
        assert contents(cloud) == contents(vault) == kept, name
        assert objects_of(cloud) == objects_of(vault), name
