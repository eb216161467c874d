"""The power is cut after every single operation, of every job, and nothing is lost. Every one, not a sample.

Each job runs once on a storage that writes down what it does. Then, for each prefix of that: whatever was reported
before is there and reads back byte for byte, the check that reads all data finds nothing wrong, and the same job,
begun again after the reboot, completes.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from appliance.backup import execute_backup, plan_backup
from appliance.repository import FileType, Repository
from appliance.sources.local import LocalSource
from appliance.status.model import Outcome
from appliance.storage import MemoryStorage
from appliance.storage.interface import Storage
from appliance.upkeep import PruneLimits, execute_forget, execute_prune, plan_forget_named, plan_prune
from tests.support.backups import clock
from tests.support.power import RecordingStorage, after_reboot, write_folder
from tests.support.repository import CHEAP, PASSWORD, new_repository
from tests.support.restic_judge import ResticJudge
from tests.upkeep.places import back_up, contents, fresh, noise, pack_bytes

pytestmark = pytest.mark.slow

ALL = PruneLimits(max_unused=Fraction(0))
RECOVERY = "recovery"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.repository.lock.SETTLE_SECONDS", 0.0)


@pytest.fixture
def storage() -> MemoryStorage:
    """Four snapshots with packs that need every treatment: to go, to be packed anew, to be merged, to stay."""
    repository = new_repository()
    shared = noise(1)
    back_up(repository, 0, {"shared": shared, "first": noise(2)})
    back_up(repository, 1, {"shared": shared, "second": noise(3), "seconds": noise(4)})
    back_up(repository, 2, {"third": noise(5)})
    back_up(repository, 3, {"third": noise(5), "fourth": noise(6)})
    assert isinstance(repository.storage, MemoryStorage)
    return repository.storage


@pytest.fixture(scope="module")
def judge() -> ResticJudge:
    return ResticJudge()


def first_two(storage: Storage) -> list[str]:
    return [snapshot.id for snapshot in fresh(storage).snapshots()[:2]]


def forget(storage: Storage, ids: list[str]) -> None:
    repository = fresh(storage)
    with repository.lock(exclusive=True, owner=after_reboot()):
        there = {snapshot.id for snapshot in repository.snapshots()}
        execute_forget(repository, plan_forget_named(repository, [each for each in ids if each in there]))


def prune(storage: Storage) -> None:
    repository = fresh(storage)
    with repository.lock(exclusive=True, owner=after_reboot()):
        execute_prune(repository, plan_prune(repository, ALL))


def is_pruned(storage: Storage) -> bool:
    plan = plan_prune(fresh(storage), ALL)
    return plan.nothing_to_do and plan.blobs_unused == 0 and not list(storage.list("locks"))


@dataclass
class Cut:
    """One state the power cut may have left: its name, and the storage."""

    name: str
    storage: MemoryStorage


def every_cut(storage: MemoryStorage, job: Callable[[Storage], None]) -> list[Cut]:
    """Does `job` on `storage` and returns all states on the way, the first and the last among them."""
    recording = RecordingStorage(storage)
    job(recording)
    cuts = [Cut(name, state) for name, state in recording.states()]
    assert len(cuts) == len(recording.operations) + 1
    assert {info.key for info in cuts[-1].storage.list()} == {info.key for info in storage.list()}
    return cuts


@pytest.mark.needs("restic")
def test_backup(storage: MemoryStorage, tmp_path: Path, judge: ResticJudge) -> None:
    tree = tmp_path / "tree"
    (tree / "蔵").mkdir(parents=True)
    for number in range(6):
        (tree / "蔵" / f"{number}").write_bytes(noise(100 + number, 3000))
    files = {str(path.relative_to("/")): path.read_bytes() for path in tree.rglob("*") if path.is_file()}

    def job(place: Storage) -> None:
        source = LocalSource(tree)
        repository = fresh(place)
        with repository.lock(owner=after_reboot()):
            plan = plan_backup(repository, source, hostname="box", now=clock)
            assert execute_backup(repository, plan, source, now=clock).outcome is Outcome.DONE
        source.close()

    reported = contents(storage)
    cuts = every_cut(storage, job)
    assert len(cuts) >= 6
    for cut in cuts:
        there = contents(cut.storage)
        assert {each: there[each] for each in reported} == reported, cut.name
        assert not judge.errors(cut.storage), cut.name
        job(cut.storage)
        new = [read for each, read in contents(cut.storage).items() if each not in there]
        assert [{name.lstrip("/"): data for name, data in read.items()} for read in new] == [files], cut.name
        prune(cut.storage)
        assert is_pruned(cut.storage), cut.name


@pytest.mark.needs("restic")
def test_forget(storage: MemoryStorage, judge: ResticJudge) -> None:
    ids = first_two(storage)
    reported = contents(storage)
    kept = {each: files for each, files in reported.items() if each not in ids}
    for cut in every_cut(storage, lambda place: forget(place, ids)):
        there = contents(cut.storage)
        assert kept.items() <= there.items() <= reported.items(), cut.name
        assert not judge.errors(cut.storage), cut.name
        forget(cut.storage, ids)
        assert contents(cut.storage) == kept, cut.name


def prune_cuts(storage: MemoryStorage) -> tuple[list[Cut], dict[str, dict[str, bytes]]]:
    forget(storage, first_two(storage)[:1])
    storage.put("data/ab/" + "ab" * 32, b"left by an interrupted run")
    reported = contents(storage)
    plan = plan_prune(fresh(storage), ALL)
    assert plan.delete
    assert plan.repack
    assert plan.unindexed
    return every_cut(storage, prune), reported


def test_prune(storage: MemoryStorage) -> None:
    cuts, reported = prune_cuts(storage)
    assert len(cuts) < 60
    done = pack_bytes(storage)
    for cut in cuts:
        assert contents(cut.storage) == reported, cut.name
        prune(cut.storage)
        assert contents(cut.storage) == reported, cut.name
        assert is_pruned(cut.storage), cut.name
        assert pack_bytes(cut.storage) == done, cut.name


@pytest.mark.needs("restic")
def test_prune_cut_and_cut_again(storage: MemoryStorage, judge: ResticJudge) -> None:
    """The power comes back, the prune begins anew, and the power is cut again, at every moment of every run."""
    cuts, reported = prune_cuts(storage)
    for cut in cuts:
        for again in every_cut(cut.storage, prune):
            assert contents(again.storage) == reported, (cut.name, again.name)
            assert not judge.errors(again.storage), (cut.name, again.name)
            prune(again.storage)
            assert is_pruned(again.storage), (cut.name, again.name)


@pytest.mark.needs("restic")
def test_a_backup_follows_an_interrupted_prune(storage: MemoryStorage, judge: ResticJudge) -> None:
    """Blobs that are about to go are not built upon: what an index names is there until it is not named any more."""
    cuts, reported = prune_cuts(storage)
    for cut in cuts:
        repository = fresh(cut.storage)
        repository.load_index()
        with repository.lock(owner=after_reboot()):
            back_up(repository, 9, {"first again": noise(2), "new": noise(50)})
        there = contents(cut.storage)
        assert reported.items() <= there.items(), cut.name
        assert not judge.errors(cut.storage), cut.name
        prune(cut.storage)
        assert contents(cut.storage) == there, cut.name
        assert is_pruned(cut.storage), cut.name


@pytest.mark.needs("restic")
def test_adding_a_key(storage: MemoryStorage, judge: ResticJudge) -> None:
    def job(place: Storage) -> None:
        repository = fresh(place)
        with repository.lock(owner=after_reboot()):
            repository.add_key(RECOVERY, hostname="box", username="customer", cost=CHEAP)

    reported = contents(storage)
    for cut in every_cut(storage, job):
        assert contents(cut.storage) == reported, cut.name
        assert not judge.errors(cut.storage), cut.name
        job(cut.storage)
        assert Repository.open(cut.storage, RECOVERY).id == fresh(cut.storage).id


@pytest.mark.needs("restic")
def test_removing_a_key(storage: MemoryStorage, judge: ResticJudge) -> None:
    old = fresh(storage).add_key(RECOVERY, hostname="box", username="customer", cost=CHEAP)

    def job(place: Storage) -> None:
        repository = fresh(place)
        with repository.lock(exclusive=True, owner=after_reboot()):
            repository.delete_file(FileType.KEY, old)

    reported = contents(storage)
    for cut in every_cut(storage, job):
        assert contents(cut.storage) == reported, cut.name
        assert not judge.errors(cut.storage), cut.name
        job(cut.storage)
        assert [info.key for info in cut.storage.list("keys")] == [f"keys/{fresh(cut.storage).key_id}"]


@pytest.mark.needs("restic")
def test_restic_agrees_after_every_cut_of_a_prune(storage: MemoryStorage, tmp_path: Path) -> None:
    cuts, reported = prune_cuts(storage)
    for number, cut in enumerate(cuts):
        folder = tmp_path / str(number)
        # The box clears its dead locks before it does anything; restic would want `restic unlock` first.
        with fresh(cut.storage).lock(exclusive=True, owner=after_reboot()):
            pass
        write_folder(cut.storage, folder)
        assert "no errors were found" in restic(folder, "check", "--read-data"), cut.name
        listed = json.loads(restic(folder, "snapshots", "--json"))
        assert {each["id"] for each in listed} == set(reported), cut.name


def restic(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["restic", "--no-cache", "-r", str(folder), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "RESTIC_PASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
