"""Locks, with time that only the test lets pass."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from appliance.repository import DamagedData, FileType, LockLost, LockOwner, Repository, RepositoryLocked
from appliance.repository.files import store_json
from appliance.repository.lock import (
    GIVE_UP_SECONDS,
    LockFile,
    RepositoryLock,
    decode_lock,
    process_identity,
)
from appliance.storage import MemoryStorage
from appliance.storage.interface import Buffer, Unreachable
from appliance.text import T
from tests.support.repository import NOW, TIME, new_repository, save_files

HERE = LockOwner(hostname="box", username="kura", pid=1000, uid=1, gid=1, identify=lambda pid: f"boot-1/{pid}")


class World:
    """A repository and the time around it."""

    def __init__(self, storage: MemoryStorage | None = None) -> None:
        self.storage = storage or MemoryStorage()
        self.repository = new_repository(self.storage)
        self.seconds = 0.0
        self.pauses: list[float] = []
        self.on_pause: Callable[[], None] = lambda: None

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds
        self.on_pause()

    def lock(self, *, exclusive: bool = False, owner: LockOwner = HERE) -> RepositoryLock:
        return RepositoryLock(
            self.storage,
            self.repository.sealer,
            owner,
            exclusive=exclusive,
            now=lambda: NOW + timedelta(seconds=self.seconds),
            elapsed=lambda: self.seconds,
            pause=self.pause,
        )

    def foreign(self, **fields: object) -> str:
        """Puts the lock of somebody else there."""
        lock = LockFile(**{"time": TIME, "hostname": "laptop", "username": "hana", "pid": 77, **fields})  # type: ignore[arg-type]
        return store_json(self.storage, self.repository.sealer, FileType.LOCK, msgspec.json.encode(lock))

    def locks(self) -> list[LockFile]:
        return [decode_lock(self.repository.load_json(info)) for info in self.repository.list_files(FileType.LOCK)]


def test_a_lock_is_there_while_it_is_held() -> None:
    world = World()
    lock = world.lock()
    lock.acquire()
    (stored,) = world.locks()
    assert (stored.hostname, stored.pid, stored.exclusive, stored.process) == ("box", 1000, False, "boot-1/1000")
    assert world.pauses == [0.2]
    lock.release()
    assert world.locks() == []


@pytest.mark.parametrize(("ours", "theirs", "refused"), [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)])
def test_who_gets_along_with_whom(ours: int, theirs: int, refused: int) -> None:
    world = World()
    world.foreign(exclusive=bool(theirs))
    lock = world.lock(exclusive=bool(ours))
    if refused:
        with pytest.raises(RepositoryLocked) as caught:
            lock.acquire()
        assert caught.value.exit_code == 11
        for told in ("hana", "laptop", "77", "2026-03-01 09:30:00 UTC"):
            assert told in str(caught.value)
        assert len(world.locks()) == 1
    else:
        lock.acquire()
        assert len(world.locks()) == 2


def test_whoever_comes_at_the_same_time_is_seen_at_the_second_look() -> None:
    world = World()
    world.on_pause = lambda: world.foreign(exclusive=True) and None
    with pytest.raises(RepositoryLocked):
        world.lock().acquire()
    assert [lock.hostname for lock in world.locks()] == ["laptop"]


@pytest.mark.parametrize(
    ("process", "alive"), [("boot-0/77", True), ("boot-1/5", True), ("", False), ("boot-1/77", False)]
)
def test_our_hosts_dead_locks_are_cleared(process: str, alive: bool) -> None:
    world = World()
    world.foreign(hostname="box", exclusive=True, process=process)
    owner = LockOwner("box", "kura", 1000, 1, 1, identify=lambda pid: f"boot-1/{pid}" if alive or pid == 1000 else None)
    lock = world.lock(exclusive=True, owner=owner)
    lock.acquire()
    assert [lock.pid for lock in world.locks()] == [1000]


@pytest.mark.parametrize("process", ["", "boot-1/77"])
def test_our_hosts_living_locks_are_respected(process: str) -> None:
    world = World()
    world.foreign(hostname="box", exclusive=True, process=process)
    with pytest.raises(RepositoryLocked):
        world.lock().acquire()


def test_other_hosts_old_locks_are_left_alone() -> None:
    world = World()
    world.foreign(time="2001-01-01T00:00:00Z", exclusive=True)
    with pytest.raises(RepositoryLocked):
        world.lock().acquire()


def test_empty_locks_are_ignored_and_unreadable_ones_are_not() -> None:
    world = World()
    world.storage.put(f"locks/{'0' * 64}", b"")
    world.lock().acquire()
    world.storage.put(f"locks/{'1' * 64}", b"noise")
    with pytest.raises(DamagedData):
        world.lock().acquire()
    assert world.pauses[-3:] == [5.0, 10.0, 20.0]


def test_a_lock_that_vanishes_while_it_is_read_is_gone() -> None:
    world = World()
    world.storage.put(f"locks/{'1' * 64}", b"noise")
    world.on_pause = lambda: world.storage.delete(f"locks/{'1' * 64}")
    world.lock(exclusive=True).acquire()


def test_refreshing_writes_the_new_lock_before_the_old_one_goes() -> None:
    world = World()
    lock = world.lock()
    lock.acquire()
    (before,) = world.locks()
    world.seconds += 300
    lock.refresh()
    (after,) = world.locks()
    assert after.time > before.time


def test_a_lock_that_is_overdue_is_kept_if_nobody_took_it() -> None:
    world = World()
    lock = world.lock()
    lock.acquire()
    world.seconds += GIVE_UP_SECONDS + 1
    lock.ensure_held()
    assert len(world.locks()) == 1


def test_a_lock_that_is_overdue_and_gone_is_lost_for_good() -> None:
    world = World()
    lock = world.lock()
    lock.acquire()
    for info in world.repository.list_files(FileType.LOCK):
        world.storage.delete(info.key)
    world.seconds += GIVE_UP_SECONDS + 1
    for _ in range(2):
        with pytest.raises(LockLost):
            lock.ensure_held()
    lock.release()
    assert world.locks() == []


def test_a_lock_taken_away_at_the_last_moment_is_lost() -> None:
    world = World()
    lock = world.lock()
    lock.acquire()
    (old,) = world.repository.list_files(FileType.LOCK)
    world.seconds += GIVE_UP_SECONDS + 1
    world.on_pause = lambda: world.storage.delete(old.key)
    with pytest.raises(LockLost):
        lock.ensure_held()
    assert world.locks() == []


class Cut(MemoryStorage):
    """A storage whose line can be cut."""

    cut = False

    def put(self, key: str, data: Buffer) -> None:
        self._ensure_line()
        super().put(key, data)

    def delete(self, key: str) -> None:
        self._ensure_line()
        super().delete(key)

    def _ensure_line(self) -> None:
        if self.cut:
            raise Unreachable(T("The line is cut."), transient=True)


def test_an_overdue_lock_that_cannot_be_renewed_is_lost() -> None:
    storage = Cut()
    world = World(storage)
    lock = world.lock()
    lock.acquire()
    storage.cut = True
    world.seconds += GIVE_UP_SECONDS - 1
    lock.ensure_held()
    world.seconds += 2
    with pytest.raises(LockLost):
        lock.ensure_held()
    lock.release()


def test_a_lock_is_renewed_in_the_background() -> None:
    world = World()
    lock = world.lock()
    lock.acquire()
    (first,) = world.repository.list_files(FileType.LOCK)
    lock.keep(interval=0.001)
    deadline = time.monotonic() + 60
    while first in world.repository.list_files(FileType.LOCK):
        assert time.monotonic() < deadline
    lock.release()
    assert world.locks() == []
    assert not any(thread.name == "lock" for thread in threading.enumerate())


def test_a_reader_does_not_wait_for_the_second_look() -> None:
    world = World()
    lock = world.lock()
    lock.begin()
    lock.settle_meanwhile(wait=1000)
    assert len(world.locks()) == 1
    lock.release()
    lock.ensure_settled()
    assert world.locks() == []


def test_nothing_is_written_before_the_second_look() -> None:
    repository = new_repository()
    with pytest.raises(RepositoryLocked), repository.shared_lock(now=lambda: NOW, owner=HERE):
        lock = LockFile(TIME, exclusive=True, hostname="laptop", username="hana", pid=77)
        store_json(repository.storage, repository.sealer, FileType.LOCK, msgspec.json.encode(lock))
        with pytest.raises(RepositoryLocked):
            save_files(repository, {b"a": b"1"})
        assert _packs(repository) == []
    assert len(repository.list_files(FileType.LOCK)) == 1


def test_nothing_is_written_once_the_lock_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    repository = new_repository()

    def lost(lock: RepositoryLock) -> None:
        raise LockLost

    with repository.lock():
        save_files(repository, {b"a": b"1"})
        stored = _packs(repository)
        monkeypatch.setattr(RepositoryLock, "ensure_held", lost)
        with pytest.raises(LockLost):
            save_files(repository, {b"b": b"2"})
        assert _packs(repository) == stored
    save_files(repository, {b"b": b"2"})


def _packs(repository: Repository) -> list[str]:
    return [info.key for info in repository.list_files(FileType.PACK)]


def test_processes_are_told_apart() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        identity = process_identity(child.pid)
        assert identity == process_identity(child.pid)
        assert identity != process_identity(os.getpid())
    finally:
        child.kill()
        child.wait()
    assert process_identity(child.pid) is None
