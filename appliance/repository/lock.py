"""Locks: who is working on the repository, told to everybody else (format 1.10).

A lock is a small file that is there for as long as the work goes on, and written anew every five minutes. Any
number of shared locks may be there at once; an exclusive one is alone. restic calls a lock older than half an hour
abandoned, so work that could not renew its lock for three quarters of that stops before somebody takes over.

Stock restic asks whether a lock's process is alive by sending it SIGHUP, when it runs on the same host as the same
user. A process that holds a lock must therefore ignore SIGHUP or handle it; that is up to whoever owns the process,
as a library does not touch signals.
"""

from __future__ import annotations

import getpass
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from appliance.errors import KurabakoError
from appliance.repository.crypto import Sealer
from appliance.repository.errors import UNDECODABLE, DamagedData, LockLost, RepositoryLocked
from appliance.repository.files import file_name, list_files, load_json, store_json
from appliance.repository.ids import FileType, object_key
from appliance.repository.timestamps import from_datetime, to_datetime
from appliance.storage.interface import ObjectInfo, ObjectNotFound, Storage
from appliance.text import T

log = logging.getLogger(__name__)

REFRESH_SECONDS = 300.0
STALE_SECONDS = 1800.0
GIVE_UP_SECONDS = STALE_SECONDS - 1.5 * REFRESH_SECONDS
"""Seconds without a renewal after which nothing more is written: well before others may call the lock abandoned."""

SETTLE_SECONDS = 0.2
"""Between writing a lock and looking again: whoever came at the same time is seen by then."""

READ_AGAIN_SECONDS = (5.0, 10.0, 20.0)
"""Pauses before a lock that cannot be read is read again; it may be half written or just vanishing."""


class LockFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A lock as it is stored. `process` is ours alone: it tells a process from a later one with the same number."""

    time: str
    exclusive: bool = msgspec.field(default_factory=lambda: False)
    hostname: str = ""
    username: str = ""
    pid: int = 0
    uid: int = 0
    gid: int = 0
    process: str = ""


_decoder = msgspec.json.Decoder(LockFile)


def decode_lock(json: bytes | bytearray | memoryview) -> LockFile:
    """Raises `DamagedData`."""
    try:
        lock = _decoder.decode(json)
    except UNDECODABLE:
        raise DamagedData(T("It does not follow the format.")) from None
    to_datetime(lock.time)
    return lock


def process_identity(pid: int) -> str | None:
    """A name for the process that no other will ever have, or None when there is no such process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    started = stat.rpartition(")")[2].split()[19]  # field 22, starttime; the name before ")" may hold anything
    return f"{boot}/{started}"


def _boot_seconds() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without an entry, as in a container
        return str(os.getuid())


@dataclass(frozen=True)
class LockOwner:
    """Who locks, and how it is told whether the process of another lock of this host still runs."""

    hostname: str = field(default_factory=socket.gethostname)
    username: str = field(default_factory=_user_name)
    pid: int = field(default_factory=os.getpid)
    uid: int = field(default_factory=os.getuid)
    gid: int = field(default_factory=os.getgid)
    identify: Callable[[int], str | None] = process_identity


class RepositoryLock:
    """One lock: `acquire`, `refresh` every `REFRESH_SECONDS`, `release`. `keep` does the middle part in a thread.

    `acquire` is `begin` and `settle`. With `settle_meanwhile` instead of the latter, reading may go on at once:
    whoever came at the same time and wants the repository alone waits and looks again too, and gives way.

    `now` is the time of day, `elapsed` seconds that also pass while the machine sleeps, `pause` waits seconds.
    """

    def __init__(
        self,
        storage: Storage,
        sealer: Sealer,
        owner: LockOwner,
        *,
        exclusive: bool,
        now: Callable[[], datetime],
        elapsed: Callable[[], float] = _boot_seconds,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._storage = storage
        self._sealer = sealer
        self._owner = owner
        self._exclusive = exclusive
        self._now = now
        self._elapsed = elapsed
        self._pause = pause
        self._names: list[str] = []
        self._refreshed = 0.0
        self._mutex = threading.Lock()
        self._released = threading.Event()
        self._keeper: threading.Thread | None = None
        self._settling: threading.Thread | None = None
        self._refused: KurabakoError | None = None

    def acquire(self) -> None:
        """Raises `RepositoryLocked` while somebody else's lock is in the way."""
        self.begin()
        self.settle()

    def begin(self) -> None:
        """Writes the lock. Raises `RepositoryLocked` while somebody else's is in the way."""
        self._refuse_conflicts()
        self._write()

    def settle(self) -> None:
        """Waits until whoever came at the same time is seen. Raises `RepositoryLocked` if somebody did."""
        try:
            self._pause(SETTLE_SECONDS)
            self._refuse_conflicts()
        except BaseException:
            self._remove(self._names)
            raise

    def settle_meanwhile(self, wait: float = SETTLE_SECONDS) -> None:
        """Does what `settle` does in a thread, unless `release` comes first; `ensure_settled` tells what it met.

        Work that ends so soon was over before anybody could think himself alone.
        """
        self._settling = threading.Thread(target=self._settle, args=(wait,), name="lock-settle", daemon=True)
        self._settling.start()

    def ensure_settled(self) -> None:
        """Waits for the end of `settle_meanwhile` and raises what that met."""
        if self._settling is not None:
            self._settling.join()
        if self._refused is not None:
            raise self._refused

    def _settle(self, wait: float) -> None:
        if self._released.wait(wait):
            return
        try:
            self._refuse_conflicts()
        except KurabakoError as error:
            self._refused = error

    def keep(self, interval: float = REFRESH_SECONDS) -> None:
        """Renews the lock every `interval` seconds from now until `release`."""
        self._keeper = threading.Thread(target=self._keep, args=(interval,), name="lock", daemon=True)
        self._keeper.start()

    def refresh(self) -> None:
        """Writes the lock anew. Raises `LockLost` when it was overdue and somebody has removed it meanwhile."""
        with self._mutex:
            overdue = self._is_overdue()
            current = self._names[-1]
            if overdue:
                self._require(current)
            self._write()
            if overdue:
                # Whoever removed it between the look and the write may hold the repository now.
                self._pause(SETTLE_SECONDS)
                self._require(current)
            self._remove(self._names[:-1])

    def ensure_held(self) -> None:
        """Raises `LockLost` when the lock is too old to be relied on, and cannot be renewed at the last moment.

        Raises what `ensure_settled` raises, too.
        """
        self.ensure_settled()
        if self._is_overdue():
            try:
                self.refresh()
            except LockLost:
                raise
            except KurabakoError as error:
                raise LockLost from error

    def release(self) -> None:
        """Removes the lock. Where that fails it stays behind, and is removed as a dead process's at the next start."""
        self._released.set()
        for thread in (self._settling, self._keeper):
            if thread is not None:
                thread.join()
        with self._mutex:
            self._remove(self._names)

    def _keep(self, interval: float) -> None:
        while not self._released.wait(interval):
            try:
                self.refresh()
            except KurabakoError as error:
                log.warning("the lock was not renewed: %s", error)

    def _is_overdue(self) -> bool:
        return self._elapsed() - self._refreshed > GIVE_UP_SECONDS

    def _write(self) -> None:
        owner = self._owner
        started = self._elapsed()
        lock = LockFile(
            time=from_datetime(self._now()),
            exclusive=self._exclusive,
            hostname=owner.hostname,
            username=owner.username,
            pid=owner.pid,
            uid=owner.uid,
            gid=owner.gid,
            process=owner.identify(owner.pid) or "",
        )
        self._names.append(store_json(self._storage, self._sealer, FileType.LOCK, msgspec.json.encode(lock)))
        self._refreshed = started

    def _require(self, name: str) -> None:
        try:
            self._storage.stat(object_key(FileType.LOCK, name))
        except ObjectNotFound:
            self._remove(self._names[self._names.index(name) + 1 :])
            self._refreshed = float("-inf")
            raise LockLost from None

    def _remove(self, names: list[str]) -> None:
        for name in tuple(names):
            try:
                self._storage.delete(object_key(FileType.LOCK, name))
                self._names.remove(name)
            except KurabakoError as error:
                log.warning("a lock was not removed: %s", error)

    def _refuse_conflicts(self) -> None:
        for info in list_files(self._storage, FileType.LOCK):
            name = file_name(info.key)
            if name in self._names or not info.size:
                continue
            other = self._read(info)
            if other is None or self._clear_if_dead(info, other):
                continue
            if self._exclusive or other.exclusive:
                raise RepositoryLocked(
                    who=other.username,
                    hostname=other.hostname,
                    pid=other.pid,
                    since=f"{to_datetime(other.time):%Y-%m-%d %H:%M:%S} UTC",
                    exclusive=other.exclusive,
                )

    def _read(self, info: ObjectInfo) -> LockFile | None:
        """The lock, or None when it is gone. Raises `DamagedData` when it stays unreadable."""
        pauses = iter(READ_AGAIN_SECONDS)
        while True:
            try:
                return decode_lock(load_json(self._storage, self._sealer, info))
            except ObjectNotFound:
                return None
            except DamagedData as damage:
                seconds = next(pauses, None)
                if seconds is None:
                    raise damage.named(info.key) from None
                self._pause(seconds)

    def remove_abandoned(self, *, every: bool = False) -> list[str]:
        """Removes the locks that nobody keeps any more, without acquiring this one; their hexadecimal ids.

        These are those of dead processes of this host and those that were not renewed for half an hour; with `every`
        all, whoever may still keep them. Raises `DamagedData` for a lock that cannot be read, unless `every`.
        """
        removed: list[str] = []
        for info in list_files(self._storage, FileType.LOCK):
            if every:
                self._storage.delete(info.key)
                removed.append(file_name(info.key))
                continue
            other = self._read(info) if info.size else None
            if other is None:
                continue
            if self._clear_if_dead(info, other):
                removed.append(file_name(info.key))
            elif (self._now() - to_datetime(other.time)).total_seconds() > STALE_SECONDS:
                self._storage.delete(info.key)
                removed.append(file_name(info.key))
        return removed

    def _clear_if_dead(self, info: ObjectInfo, other: LockFile) -> bool:
        """Removes a lock of this host whose process is gone, as after a power cut; whether it did."""
        if other.hostname != self._owner.hostname:
            return False
        identity = self._owner.identify(other.pid)
        if identity is not None and other.process in ("", identity):
            return False
        self._storage.delete(info.key)
        log.info("removed the lock of process %d of this host, which is gone", other.pid)
        return True
