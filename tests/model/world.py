"""A box's repositories under random operations and random faults, and the model of what must hold.

The model knows the files as they were at each backup that was reported. After every operation, whatever became of it:
every reported snapshot that nobody asked to forget is there and reads back byte for byte; every other snapshot that can
be seen is whole too; nothing that was stored ever exceeded the capacity; the ledger told the usage exactly.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

from appliance.backup import execute_backup, plan_backup
from appliance.capacity import GatedStorage, Ledger
from appliance.errors import KurabakoError
from appliance.replication import execute_replication, mirror, plan_replication
from appliance.repository import FileType, Repository
from appliance.repository.check import check
from appliance.restore import execute_restore, plan_restore
from appliance.sources.local import LocalSource
from appliance.status.model import Outcome
from appliance.storage import MemoryStorage, RetryingStorage, RetryPolicy
from appliance.storage.interface import Storage
from appliance.targets.local import LocalTarget
from appliance.upkeep import PruneLimits, execute_forget, execute_prune, plan_forget_named, plan_prune
from appliance_s3.client import S3Client, Timeouts
from appliance_s3.place import parse_credentials, parse_place
from appliance_s3.storage import S3Storage
from tests.support.faulty_s3 import Asked, Fault, FaultyS3
from tests.support.power import after_reboot
from tests.support.repository import CHEAP, PASSWORD, new_repository
from tests.upkeep.places import contents

Files = dict[str, bytes]

EVERYWHERE = (Fault.LOST, Fault.ANSWER_LOST, Fault.SLOW_DOWN, Fault.REFUSED_INSIDE, Fault.DONE_BUT_REFUSED)
RARE = (Fault.EXPIRED, Fault.SKEWED, Fault.STALLED, Fault.ANSWER_STALLED)
"""Those that end an operation, or cost time."""

_READ_PATIENCE = 4.0
"""Seconds: what a stall costs, and more than a busy machine takes to answer."""
_LOCKS = 5000
"""Bytes that are left for locks, which the reserve is for."""


class Clock:
    """Goes on when somebody sleeps, and a little whenever somebody looks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 0.001
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=self())


class World:
    """With a vault, or without one: then the backups go straight to the cloud."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.folder = folder
        self.history: list[str] = []
        self.clock = Clock()
        self.has_vault = self.random.random() < 0.6
        self.capacity = self.random.choice((None, 250_000, 600_000, 1_500_000))
        self.trouble = 0.0
        self.may_be_stale = False
        self.asked: Counter[str] = Counter()
        self.server = FaultyS3(self._fault)
        self.vault = MemoryStorage()
        self.reported: dict[str, Files] = {}
        """What must be in the place that backups go to."""
        self.replicated: dict[str, Files] = {}
        """What must be in the cloud, when there is a vault."""
        self.passwords = [PASSWORD]
        self.disk: Files = {}
        (folder / "disk").mkdir()
        new_repository(self.vault if self.has_vault else self._s3())
        for _ in range(5):
            self._change_a_file()

    def close(self) -> None:
        self.server.close()

    # --- the places ------------------------------------------------------------------------------------------

    def _fault(self, asked: Asked) -> Fault:
        """By seed, operation, kind of request and its number: whichever of several uploads comes first, as ever."""
        kind = f"{asked.method} {asked.what}"
        self.asked[kind] += 1
        chance = random.Random(f"{self.seed} {len(self.history)} {kind} {self.asked[kind]}")
        if chance.random() >= self.trouble:
            return Fault.NONE
        faults = list(EVERYWHERE)
        if chance.random() < 0.1:
            faults = list(RARE)
        elif asked.what == "object":
            faults += {"GET": [Fault.TRUNCATED, Fault.CORRUPTED], "PUT": [Fault.WRONG_ETAG]}.get(asked.method, [])
        elif asked.what == "listing":
            faults += [Fault.DUPLICATED]
            # S3 promises listings that are up to date, and what is deleted or counted relies on it.
            if self.may_be_stale and asked.key.count("/") > 1:
                faults += [Fault.STALE]
        elif asked.what in ("part", "upload"):
            faults += [Fault.LOST_UPLOAD]
        return chance.choice(faults)

    def _s3(self) -> Storage:
        keys = {"access_key_id": "key", "secret_access_key": "secret", "region": "us-east-1"}
        client = S3Client(
            parse_place(f"{self.server.endpoint}/bucket/box", keys),
            parse_credentials(keys),
            timeouts=Timeouts(5.0, _READ_PATIENCE),
        )
        policy = RetryPolicy(give_up_after=40.0)
        return RetryingStorage(S3Storage(client), policy, sleep=self.clock.sleep, clock=self.clock, random=lambda: 0.5)

    @contextmanager
    def _cloud(self) -> Iterator[GatedStorage]:
        """The gated cloud; afterwards its ledger told the usage exactly, as soon as no request is in doubt."""
        s3 = self._s3()
        try:
            ledger = Ledger.measure(
                s3, capacity=self.capacity, reserve=_LOCKS if self.capacity else 0, clock=self.clock
            )
            gated = GatedStorage(s3, ledger)
            try:
                yield gated
            finally:
                self.trouble = 0.0
                self.clock.sleep(1000)
                gated._look_at_doubts()
                stored = {info.key: info.size for info in self.server.below("box").list()}
                wrong = {
                    key: (size, stored.get(key))
                    for key, size in gated.ledger.objects().items()
                    if stored.get(key) != size and not self._deleted_unheard(key)
                }
                assert not wrong, wrong
                assert gated.ledger.usage.used >= sum(stored.values())
        finally:
            s3.close()

    def _deleted_unheard(self, key: str) -> bool:
        """A delete whose answer never came is counted on until the next measurement: on the safe side."""
        return key not in self.server.objects

    def _home(self, cloud: Storage) -> Repository:
        return Repository.open(self.vault if self.has_vault else cloud, self.random.choice(self.passwords))

    # --- what happens to files -------------------------------------------------------------------------------

    def _change_a_file(self) -> None:
        name = f"file {self.random.randrange(12)}"
        path = self.folder / "disk" / name
        kind = self.random.random()
        if name in self.disk and kind < 0.2:
            del self.disk[name]
            path.unlink()
            return
        if self.disk and kind < 0.4:
            data = self.random.choice(list(self.disk.values()))
        else:
            data = self.random.randbytes(self.random.randrange(30_000)) + bytes(self.random.randrange(3)) * 20_000
        self.disk[name] = data
        path.write_bytes(data)

    # --- operations ------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One operation, with or without trouble."""
        operations: list[Callable[[GatedStorage], str]] = [
            *[self.back_up] * 4,
            self.forget,
            self.prune,
            self.restore,
            self.check,
            self.change_keys,
        ]
        if self.has_vault:
            operations += [*[self.replicate] * 3, self.mirror]
        for _ in range(self.random.randrange(3)):
            self._change_a_file()
        self.server.remember()
        self.do(self.random.choice(operations), trouble=self.random.choice((0.0, 0.05, 0.2, 0.5)))

    def do(self, operation: Callable[[GatedStorage], str], *, trouble: float) -> None:
        """Runs one operation; a typed error is an end like any other. Then all that must hold is looked at."""
        self.history.append(f"{operation.__name__} with trouble {trouble}")
        self.asked.clear()
        self.trouble = trouble
        self.may_be_stale = operation not in (self.forget, self.prune, self.mirror)
        try:
            with self._cloud() as cloud:
                self.history[-1] += f": {operation(cloud)}"
        except KurabakoError as error:
            self.history[-1] += f": {error.code}"
            assert trouble or error.code in ("capacity.exceeded", "storage.object-not-found"), error
        finally:
            self.trouble = 0.0
        self.look()

    def back_up(self, cloud: GatedStorage) -> str:
        source = LocalSource(self.folder / "disk", snapshot_path="/disk")
        try:
            repository = self._home(cloud)
            with repository.lock(owner=after_reboot()):
                plan = plan_backup(repository, source, hostname="box", now=self.clock.now)
                report = execute_backup(repository, plan, source, now=self.clock.now)
        finally:
            source.close()
        assert report.outcome is Outcome.DONE
        assert report.snapshot is not None
        self.reported[report.snapshot.id] = {f"/disk/{name}": data for name, data in self.disk.items()}
        return report.snapshot.short_id

    def forget(self, cloud: GatedStorage) -> str:
        repository = self._home(cloud)
        count = self.random.randrange(1, 3)
        going = self.random.sample(sorted(self.reported), min(count, len(self.reported)))
        with repository.lock(exclusive=True, owner=after_reboot()):
            there = {snapshot.id for snapshot in repository.snapshots()}
            assert set(self.reported) <= there
            for each in going:  # from here on it may be gone
                del self.reported[each]
            execute_forget(repository, plan_forget_named(repository, going))
        return f"{len(going)}"

    def prune(self, cloud: GatedStorage) -> str:
        repository = self._home(cloud if self.has_vault else cloud.for_upkeep())
        with repository.lock(exclusive=True, owner=after_reboot()):
            limits = PruneLimits(max_unused=Fraction(self.random.choice((0, 5, 30)), 100))
            plan = plan_prune(repository, limits)
            execute_prune(repository, plan)
        return f"{plan.bytes_freed} bytes"

    def replicate(self, cloud: GatedStorage) -> str:
        vault = self._home(cloud)
        report = execute_replication(plan_replication(vault, cloud, cloud.ledger), vault, cloud)
        self.replicated |= {each: self.reported[each] for each in report.snapshots if each in self.reported}
        assert not report.findings, report.findings
        return f"{report.outcome}, {len(report.snapshots)} snapshots"

    def mirror(self, cloud: GatedStorage) -> str:
        """Replication with deletions: what was forgotten goes from the cloud too."""
        vault = self._home(cloud)
        copy = vault.at(cloud)
        there = {info.key.partition("/")[2] for info in self.server.below("box").list("snapshots")}
        going = there - {snapshot.id for snapshot in vault.snapshots()}
        for each in going:
            self.replicated.pop(each, None)
        report = mirror(
            vault,
            cloud,
            forgotten=going,
            together=lambda: copy.lock(owner=after_reboot()),
            alone=lambda: copy.lock(exclusive=True, owner=after_reboot()),
        )
        self.replicated |= {each: self.reported[each] for each in report.snapshots if each in self.reported}
        return f"{report.outcome}, {len(report.snapshots)} snapshots, {report.deleted} files deleted"

    def restore(self, cloud: GatedStorage) -> str:
        known = self.replicated if self.has_vault else self.reported
        if not known:
            return "nothing to restore"
        chosen = self.random.choice(sorted(known))
        target = LocalTarget(self.folder / "out")
        try:
            repository = Repository.open(cloud, PASSWORD)
            snapshot = repository.find_snapshot(chosen)
            report = execute_restore(repository, plan_restore(repository, snapshot, "", target))
            failed = {failure.path for failure in report.failures}
            for path in (self.folder / "out").rglob("*"):
                name = f"/{path.relative_to(self.folder / 'out')}"
                if path.is_file():
                    assert path.read_bytes() == known[chosen].get(name), name
            missing = [name for name in known[chosen] if not (self.folder / f"out{name}").exists()]
            assert all(any(name.lstrip("/").startswith(each) for each in failed) for name in missing), (missing, failed)
            return f"{report.outcome}"
        finally:
            target.close()
            shutil.rmtree(self.folder / "out", ignore_errors=True)

    def check(self, cloud: GatedStorage) -> str:
        if self.has_vault and not self.replicated:
            return "nothing to check"
        troubled = self.trouble > 0
        report = check(Repository.open(cloud, PASSWORD), read_data=True)
        assert troubled or report.ok, report.errors
        return f"{len(report.errors)} errors"

    def change_keys(self, cloud: GatedStorage) -> str:
        repository = self._home(cloud)
        if len(self.passwords) > 1 and self.random.random() < 0.5:
            gone = self.passwords.pop()
            with repository.lock(exclusive=True, owner=after_reboot()):
                for key in repository.list_keys():
                    if key.username == gone:
                        repository = self._home(cloud)
                        repository.delete_file(FileType.KEY, key.id)
            return "one less"
        password = f"recovery {self.random.randrange(1 << 30)}"
        with repository.lock(owner=after_reboot()):
            repository.add_key(password, hostname="box", username=password, cost=CHEAP)
        self.passwords.append(password)
        return "one more"

    # --- what must hold --------------------------------------------------------------------------------------

    def look(self) -> None:
        """Looks behind everybody's back at what is stored."""
        cloud = self.server.below("box")
        self._holds(self.vault if self.has_vault else cloud, self.reported)
        if self.has_vault and any(cloud.list("snapshots")):
            self._holds(cloud, self.replicated)
        if self.capacity is not None:
            assert self.server.most_bytes <= self.capacity, "more was stored than was contracted"

    def _holds(self, place: Storage, expected: dict[str, Files]) -> None:
        there = contents(place)  # reads and verifies every snapshot that can be seen, and finds no error
        for snapshot, files in expected.items():
            assert snapshot in there, f"{snapshot[:8]} is lost"
            assert there[snapshot] == files, f"{snapshot[:8]} reads back otherwise"
        if expected is self.reported:
            for password in self.passwords:
                Repository.open(place, password)

    def settle(self) -> None:
        """The line is good again: everything completes."""
        self.capacity = None
        self.do(self.back_up, trouble=0.0)
        self.do(self.prune, trouble=0.0)
        if self.has_vault:
            self.do(self.mirror, trouble=0.0)
            assert set(self.reported) <= set(self.replicated)
        self.do(self.restore, trouble=0.0)
        self.do(self.check, trouble=0.0)
