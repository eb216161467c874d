"""What is stored under Object Lock stays, counts and goes as it should, on moto and on a real Ceph."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from appliance.protection import Protection, execute_protection, execute_undelete, plan_protection, plan_undelete
from appliance.repository import Repository
from appliance.storage import MemoryStorage
from appliance.storage.interface import AccessDenied, Storage, StorageError, Unreachable
from appliance.storage.versions import LockMode, ObjectLockOff, keeps_versions
from appliance.storage.wrapper import StorageWrapper
from appliance.text import T
from tests.protection.places import LONG, LockedCloud, now
from tests.replication.places import back_up, read_everything, replicate
from tests.support.repo_cli import RepoCli
from tests.support.repository import PASSWORD, new_repository
from tests.support.s3 import S3Server

BRIEF = Protection(LockMode.GOVERNANCE, timedelta(seconds=3), timedelta(seconds=1))


def filled(server: S3Server, rules: Protection = LONG) -> tuple[Repository, LockedCloud]:
    vault = new_repository()
    back_up(vault, 0, {b"a": b"a" * 5000, b"b": b"b" * 100})
    back_up(vault, 1, {b"a": b"c" * 5000})
    cloud = LockedCloud(server, rules)
    replicate(vault, cloud.storage)
    return vault, cloud


def when(condition: Callable[[], bool]) -> None:
    """Waits for a date to be over at the server, which no clock of ours can move."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_all_but_locks_is_protected_from_when_it_is_stored(server: S3Server) -> None:
    begun = now().replace(microsecond=0)
    _, cloud = filled(server)
    with Repository.open(cloud.storage, PASSWORD).lock():
        dates = {entry["Key"]: cloud.date_of(entry["Key"], entry["VersionId"]) for _, entry in cloud.entries()}
    assert {key.split("/")[1] for key in dates} == {"config", "keys", "data", "index", "snapshots", "locks"}
    for key, date in dates.items():
        if "/locks/" in key:
            assert date is None
        else:
            assert date is not None and begun + LONG.length <= date <= now() + LONG.length
    plan = cloud.plan()
    assert plan.files == len(dates) - 1
    assert (plan.extend, plan.waiting, plan.deleted, plan.replaced) == ((), (), (), ())


@pytest.mark.needs("restic")
def test_who_deletes_and_overwrites_everything_with_the_boxs_key_destroys_nothing(server: S3Server) -> None:
    vault, cloud = filled(server)
    before = read_everything(cloud.storage)
    files = cloud.plan().files
    overwritten = next(entry["Key"] for _, entry in cloud.entries() if "/data/" in entry["Key"])
    cloud.s3.put_object(Bucket=cloud.bucket, Key=overwritten, Body=b"nothing")
    attacked = next(entry["LastModified"] for _, entry in cloud.entries() if entry["Size"] == len(b"nothing"))
    assert cloud.attack() == files
    assert [*cloud.storage.list()] == []
    seen = cloud.plan()
    assert len(seen.deleted) == files, "the box did not delete them"
    assert not any(version.size for version in seen.free), "so they do not go by themselves"

    cli = RepoCli(cloud.url, **cloud.environment)
    told = cli.json("undelete")
    assert sum(each["files"] for each in told["deletions"]) == files
    rehearsed = cli.json("undelete", "--since", attacked.isoformat(), "--dry-run")
    assert rehearsed["files"] == files
    assert [*cloud.storage.list()] == []
    assert cli.json("undelete", "--since", attacked.isoformat()) == {**rehearsed, "dry_run": False}
    assert cli.json("undelete", "--since", attacked.isoformat())["files"] == 0
    assert read_everything(cloud.storage) == before == read_everything(vault.storage)
    cli.restic("check", "--read-data")
    assert len(cli.json("snapshots")) == 2


def test_dates_are_moved_on_while_files_are_needed(server: S3Server) -> None:
    vault, cloud = filled(server)
    later = now() + timedelta(days=21)
    plan = cloud.plan(at=later)
    assert len(plan.extend) == plan.files
    assert plan.until == (later + LONG.length).replace(microsecond=0)
    gated = cloud.gated()
    report = execute_protection(plan, gated, LONG)
    assert report.extended == plan.files
    for _, entry in cloud.entries():
        assert cloud.date_of(entry["Key"], entry["VersionId"]) == plan.until
    assert report.dates == {
        (entry["Key"].partition("/")[2], entry["VersionId"]): plan.until for _, entry in cloud.entries()
    }
    assert not cloud.plan(at=later).extend
    assert read_everything(cloud.storage) == read_everything(vault.storage)


class Refuses(StorageWrapper):
    """Refuses to protect `key` longer, with `error`."""

    def __init__(self, inner: Storage, key: str, error: StorageError) -> None:
        super().__init__(inner)
        self.key, self.error = key, error

    def protect(self, key: str, version: str, mode: LockMode, until: datetime) -> None:
        if key == self.key:
            raise self.error
        super().protect(key, version, mode, until)


def test_a_file_that_cannot_be_protected_longer_keeps_no_other_from_it(server: S3Server) -> None:
    _, cloud = filled(server)
    plan = cloud.plan(at=now() + timedelta(days=21))
    refused, *_, last = (each.version for each in plan.extend)
    gated = cloud.gated()
    sound, denied = gated.inner, AccessDenied(T("No."))
    gated.inner = Refuses(sound, refused.key, denied)
    report = execute_protection(plan, gated, LONG)
    assert (report.extended, report.failure) == (plan.files - 1, denied)
    assert {name for name, until in report.dates.items() if until != plan.until} == {(refused.key, refused.id)}
    # The line breaks: nothing more is tried, and what is done is not done again.
    gated.inner = Refuses(sound, last.key, Unreachable(T("Gone."), transient=True))
    report = execute_protection(plan, gated, LONG)
    assert isinstance(report.failure, Unreachable)
    assert (report.extended, report.deleted) == (plan.files - 1, 0)
    left = plan_protection(cloud.storage, LONG, (), now=now() + timedelta(days=21), known=report.dates)
    assert [each.version.key for each in left.extend] == [last.key]


def test_what_the_box_deleted_counts_until_its_date_and_then_goes(server: S3Server) -> None:
    _, cloud = filled(server, BRIEF)
    gated = cloud.gated()
    used = gated.ledger.usage.used
    assert used == cloud.stored()
    gone = next(info for info in gated.list("snapshots"))
    gated.delete(gone.key)
    assert gated.ledger.usage.used == used == cloud.stored()
    plan = cloud.plan(LONG)
    if plan.waiting:  # else three seconds were over before it was looked at
        assert (plan.bytes_waiting, plan.bytes_free) == (gone.size, 0)
        assert plan.free_at is not None and plan.free_at <= now() + BRIEF.length
    when(lambda: not cloud.plan().waiting)
    plan = cloud.plan()
    assert plan.bytes_free == gone.size
    report = execute_protection(plan, gated, BRIEF)
    assert (report.bytes_freed, report.refused) == (gone.size, 0)
    assert gated.ledger.usage.used == used - gone.size == cloud.stored() == cloud.gated().ledger.usage.used
    assert gone.key not in {entry["Key"] for _, entry in cloud.entries()}, "its marker went too"


def test_locks_leave_nothing(server: S3Server) -> None:
    _, cloud = filled(server)
    gated = cloud.gated()
    used = gated.ledger.usage.used
    for _ in range(3):
        with Repository.open(gated, PASSWORD).lock():
            pass
    assert gated.ledger.usage.used == cloud.stored() > used
    execute_protection(cloud.plan(), gated, LONG)
    assert gated.ledger.usage.used == cloud.stored() == used


def test_what_somebody_else_deleted_never_goes_by_itself(server: S3Server) -> None:
    _, cloud = filled(server, BRIEF)
    stored, files = cloud.stored(), cloud.plan().files
    for key in {entry["Key"] for _, entry in cloud.entries()}:
        cloud.s3.delete_object(Bucket=cloud.bucket, Key=key)
    when(
        lambda: not any(each.until and each.until > now() for each in cloud.plan().extend) and bool(cloud.plan().extend)
    )
    plan = cloud.plan(LONG)
    assert (len(plan.deleted), len(plan.extend), plan.free) == (files, files, ()), "it is even protected longer"
    execute_protection(plan, cloud.gated(), LONG)
    assert cloud.stored() == stored
    brought = plan_undelete(cloud.storage, lambda version: version.marker)
    execute_undelete(brought, cloud.storage)
    assert len(brought.below) == files
    assert len(read_everything(cloud.storage)) == 2


def test_what_the_box_deleted_and_stored_again_is_its_own_no_more(server: S3Server) -> None:
    _, cloud = filled(server)
    snapshot = next(info.key for info in cloud.storage.list("snapshots"))
    content = cloud.storage.get(snapshot)
    cloud.storage.delete(snapshot)
    assert cloud.plan().let_go == {snapshot}
    cloud.storage.put(snapshot, content)
    cloud.let_go = set(cloud.plan().let_go)
    cloud.s3.delete_object(Bucket=cloud.bucket, Key=f"box/{snapshot}")
    assert [marker.key for marker in cloud.plan().deleted] == [snapshot]


def test_what_somebody_else_overwrote_is_seen_and_protected(server: S3Server) -> None:
    _, cloud = filled(server)
    pack = next(info.key for info in cloud.storage.list("data"))
    snapshot = next(info.key for info in cloud.storage.list("snapshots"))
    right = cloud.storage.get(snapshot)
    cloud.s3.put_object(Bucket=cloud.bucket, Key=f"box/{pack}", Body=b"nothing")
    cloud.s3.put_object(Bucket=cloud.bucket, Key=f"box/{snapshot}", Body=b"nothing")
    cloud.s3.put_object(Bucket=cloud.bucket, Key=f"box/{snapshot}", Body=right)
    plan = cloud.plan()
    assert [version.key for version in plan.replaced] == [pack], "the snapshot was put right"
    waiting = [each.version for each in plan.waiting]
    assert [version.key for version in waiting] == [snapshot], "the same once more goes after its date"
    assert [version.size for version in plan.free] == [len(b"nothing")]
    execute_undelete(plan_undelete(cloud.storage, lambda version: version.key == pack), cloud.storage)
    assert len(read_everything(cloud.storage)) == 2
    assert cloud.plan().replaced == ()


def test_a_place_without_object_lock_is_refused(server: S3Server) -> None:
    LockedCloud(server).storage.require_object_lock()
    with pytest.raises(ObjectLockOff, match="Object Lock is not enabled"):
        LockedCloud(server, object_lock=False).storage.require_object_lock()
    with pytest.raises(ObjectLockOff):
        keeps_versions(MemoryStorage())
