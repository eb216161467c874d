"""The disk is full, at every single write of every job: nothing reported is lost, and with room all completes."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.backup import execute_backup, plan_backup
from appliance.errors import KurabakoError
from appliance.repository import Repository
from appliance.restore import RestoreStopped, execute_restore, plan_restore
from appliance.sources.local import LocalSource
from appliance.storage import MemoryStorage
from appliance.storage.interface import Buffer, NoSpace, Storage
from appliance.storage.wrapper import StorageWrapper
from appliance.targets.local import LocalTarget
from appliance.text import T
from appliance.upkeep import execute_forget, execute_prune, plan_forget_named, plan_prune
from appliance_folder.storage import FolderStorage
from tests.replication.places import replicate as send
from tests.support.backups import clock
from tests.support.power import after_reboot, objects_of, storage_of
from tests.support.repository import CHEAP, new_repository
from tests.upkeep.places import back_up, contents, fresh, noise
from tests.upkeep.test_power_cuts import ALL

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.repository.lock.SETTLE_SECONDS", 0.0)


class FullAfter(StorageWrapper):
    """Takes so many objects; then there is no room for any, though deleting goes on."""

    def __init__(self, inner: Storage, puts: int) -> None:
        super().__init__(inner)
        self.left = puts
        self.refused = 0
        self._lock = threading.Lock()

    def put(self, key: str, data: Buffer) -> None:
        with self._lock:
            if self.left <= 0:
                self.refused += 1
                raise NoSpace(T("There is no space left in {location}.", location=self.location))
            self.left -= 1
        self.inner.put(key, data)


@pytest.fixture
def storage() -> MemoryStorage:
    repository = new_repository()
    shared = noise(1)
    back_up(repository, 0, {"shared": shared, "first": noise(2)})
    back_up(repository, 1, {"shared": shared, "second": noise(3)})
    back_up(repository, 2, {"third": noise(5)})
    assert isinstance(repository.storage, MemoryStorage)
    return repository.storage


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "folder").mkdir(parents=True)
    for number in range(5):
        (tree / "folder" / f"{number}").write_bytes(noise(200 + number, 3000))
    return tree


def run_backup(place: Storage, tree: Path) -> None:
    source = LocalSource(tree)
    repository = fresh(place)
    try:
        with repository.lock(owner=after_reboot()):
            plan = plan_backup(repository, source, hostname="box", now=clock)
            execute_backup(repository, plan, source, now=clock)
    finally:
        source.close()


def run_forget(place: Storage, _tree: Path) -> None:
    repository = fresh(place)
    with repository.lock(exclusive=True, owner=after_reboot()):
        oldest = repository.snapshots()[0]
        execute_forget(repository, plan_forget_named(repository, [oldest.id]))


def run_prune(place: Storage, _tree: Path) -> None:
    repository = fresh(place)
    with repository.lock(exclusive=True, owner=after_reboot()):
        execute_prune(repository, plan_prune(repository, ALL))


def run_key(place: Storage, _tree: Path) -> None:
    repository = fresh(place)
    with repository.lock(owner=after_reboot()):
        repository.add_key("recovery", hostname="box", username="customer", cost=CHEAP)


def run_replication(place: Storage, _tree: Path) -> None:
    vault = new_repository_like(place)
    report = send(vault, place)
    if report.problem is not None:
        raise report.problem


def new_repository_like(place: Storage) -> Repository:
    """A vault of the same repository, with one snapshot that `place` has not."""
    copy = storage_of(objects_of(place.inner if isinstance(place, FullAfter) else place))
    vault = fresh(copy)
    vault.load_index()
    back_up(vault, 5, {"new": noise(77), "newer": noise(78)})
    return vault


JOBS = {"backup": run_backup, "forget": run_forget, "prune": run_prune, "key": run_key, "replicate": run_replication}


@pytest.mark.parametrize("name", JOBS)
def test_the_disk_is_full_at_every_write(name: str, storage: MemoryStorage, tree: Path) -> None:
    job: Callable[[Storage, Path], None] = JOBS[name]
    if name == "prune":
        run_forget(storage, tree)
    before = contents(storage)
    kept = dict(list(before.items())[1:]) if name == "forget" else before
    objects = objects_of(storage)
    puts = 0
    while True:
        place = storage_of(objects)
        full = FullAfter(place, puts)
        try:
            job(full, tree)
        except KurabakoError as error:
            assert isinstance(error, NoSpace), error
        there = contents(place)
        assert kept.items() <= there.items(), f"with room for {puts} objects"
        if not full.refused:
            break
        job(place, tree)  # now there is room
        assert kept.items() <= contents(place).items(), f"again, after room for {puts} objects"
        puts += 1
    assert puts >= (2 if name in ("backup", "prune", "replicate") else 1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "kurabako-test", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.needs("root")
def test_a_real_disk_that_is_full(small_disk: Path, tmp_path: Path) -> None:
    place = FolderStorage(small_disk / "repository", create=True)
    repository = new_repository(place)
    back_up(repository, 0, {"old": noise(1, 200_000)})
    reported = contents(place)
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "file").write_bytes(noise(2, 2_000_000))
    with pytest.raises(NoSpace):
        run_backup(place, tmp_path / "large")
    assert contents(place) == reported
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "file").write_bytes(noise(3, 100_000))
    run_backup(place, tmp_path / "small")
    assert len(contents(place)) == 2


@pytest.mark.needs("root")
def test_a_restore_onto_a_disk_that_fills_up(small_disk: Path) -> None:
    repository = new_repository()
    snapshot = back_up(repository, 0, {f"{number:02}": noise(number, 100_000) for number in range(8)})
    target = LocalTarget(small_disk / "out")
    opened = fresh(repository.storage)
    plan = plan_restore(opened, snapshot, "", target)
    (small_disk / "somebody").write_bytes(bytes(500_000))
    with pytest.raises(RestoreStopped):
        execute_restore(opened, plan)
    target.close()
    for path in (small_disk / "out").rglob("*"):
        assert path.is_dir() or path.read_bytes() == noise(int(path.name), 100_000)
