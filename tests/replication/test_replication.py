"""From the vault to the cloud: complete, in order, never over the capacity, and never over somebody else's files."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.capacity import CapacityExceeded, GatedStorage
from appliance.replication import OtherRepository, execute_replication, plan_replication
from appliance.repository import Repository
from appliance.status.model import Outcome, Progress
from appliance.storage import MemoryStorage, StorageWrapper
from appliance.storage.interface import Buffer, ObjectInfo, Unreachable
from appliance.text import T
from tests.replication.places import (
    FailingStorage,
    back_up,
    copy_of,
    gate,
    plan_for,
    read_everything,
    replicate,
    same_vault,
    snapshots_of,
    total,
)
from tests.support.repository import PASSWORD, new_repository, save_files

LINE_DOWN = Unreachable(T("The line is down."), transient=True)
DICE = random.Random(4)
DAYS = [
    {b"a1": DICE.randbytes(30_000), b"b1": DICE.randbytes(5_000), b"b2": DICE.randbytes(7_000)},
    {b"c1": DICE.randbytes(20_000)},
    {b"c2": DICE.randbytes(1_000), b"a2": DICE.randbytes(40_000)},
]


@pytest.fixture
def vault() -> Repository:
    """Three snapshots, each with the files of the days before and some more."""
    repository = new_repository()
    files: dict[bytes, bytes] = {}
    for day, more in enumerate(DAYS):
        files |= more
        back_up(repository, day, files)
    return repository


def test_the_cloud_becomes_a_complete_repository(vault: Repository) -> None:
    cloud = MemoryStorage()
    report = replicate(vault, cloud)
    assert report.outcome is Outcome.DONE
    assert report.snapshots == tuple(snapshot.id for snapshot in vault.snapshots())
    assert read_everything(cloud) == read_everything(vault.storage)
    assert {info.key: info.size for info in cloud.list()} == {info.key: info.size for info in vault.storage.list()}
    assert report.bytes_done == total(cloud)


def test_a_second_run_sends_nothing(vault: Repository) -> None:
    cloud = MemoryStorage()
    replicate(vault, cloud)
    watched = FailingStorage(cloud, None, LINE_DOWN)
    report = replicate(vault, watched)
    assert (report.outcome, report.files, watched.keys) == (Outcome.DONE, 0, [])
    assert "already has every snapshot" in str(report.summary)


def test_only_what_is_new_is_sent_and_only_what_differs_is_read(vault: Repository) -> None:
    cloud = MemoryStorage()
    replicate(vault, cloud)
    before = total(cloud)
    files = {**DAYS[0], **DAYS[1], **DAYS[2], b"c3": b"new"}
    back_up(vault, 9, files)

    trees_read = 0

    class Counting(StorageWrapper):
        def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
            nonlocal trees_read
            trees_read += key.startswith("data/")
            return self.inner.get(key, offset, length)

    gated = gate(cloud, None)
    plan = plan_replication(Repository.open(Counting(vault.storage), PASSWORD), gated, gated.ledger)
    # The root, /share and /share/c, in the new snapshot and in the one before; a and b are the same.
    assert trees_read == 6
    assert plan.snapshots_there == 3
    assert len(plan.steps) == 1
    report = execute_replication(plan, same_vault(vault), gated)
    assert report.bytes_done == plan.size == total(cloud) - before
    assert read_everything(cloud) == read_everything(vault.storage)


def test_locks_stay_where_they_are(vault: Repository) -> None:
    vault.storage.put("locks/" + "ab" * 32, b"a lock")
    cloud = MemoryStorage()
    replicate(vault, cloud)
    assert list(cloud.list("locks")) == []


def test_files_go_in_the_order_they_depend_on_each_other(vault: Repository) -> None:
    cloud = FailingStorage(MemoryStorage(), None, LINE_DOWN)
    replicate(vault, cloud)
    kinds = [key.partition("/")[0] for key in cloud.keys]
    runs = [kind for place, kind in enumerate(kinds) if place == 0 or kinds[place - 1] != kind]
    assert runs == ["keys", "config", *["data", "index", "snapshots"] * 3]


def test_interrupted_anywhere_the_cloud_is_whole_and_the_next_run_goes_on(vault: Repository) -> None:
    everything = read_everything(vault.storage)
    puts = sum(1 for _ in vault.storage.list())
    for at in range(puts):
        cloud = MemoryStorage()
        report = replicate(vault, FailingStorage(cloud, at, LINE_DOWN))
        assert report.outcome is Outcome.FAILED
        assert report.problem is LINE_DOWN
        assert snapshots_of(cloud) == set(report.snapshots)
        if report.snapshots:
            assert read_everything(cloud) == {name: everything[name] for name in report.snapshots}
        sent_before = total(cloud)
        again = replicate(vault, cloud)
        assert again.outcome is Outcome.DONE
        assert sent_before + again.bytes_done == total(cloud) == total(vault.storage)
        assert read_everything(cloud) == everything


def test_cancelled_it_ends_in_order(vault: Repository) -> None:
    cloud = MemoryStorage()
    report = replicate(vault, cloud, cancelled=lambda: len(snapshots_of(cloud)) == 1)
    assert report.outcome is Outcome.CANCELLED
    assert len(report.snapshots) == 1
    assert "cancelled after 1 snapshots" in str(report.summary)
    assert replicate(vault, cloud).outcome is Outcome.DONE


def test_what_does_not_fit_is_refused_to_the_byte_before_anything_of_it_is_sent(vault: Repository) -> None:
    plan = plan_for(vault, MemoryStorage())
    own, first, second, third = plan.steps
    exactly = plan.size

    cloud = MemoryStorage()
    assert replicate(vault, cloud, exactly).outcome is Outcome.DONE
    assert total(cloud) == exactly

    cloud = MemoryStorage()
    report = replicate(vault, cloud, exactly - 1)
    assert report.outcome is Outcome.REFUSED
    assert [refusal.snapshot.id for refusal in report.refused] == [third.snapshot.id]
    assert (report.refused[0].needed, report.refused[0].left) == (third.size, third.size - 1)
    assert f"{third.size:,} bytes" in str(report.summary)
    assert total(cloud) == own.size + first.size + second.size
    assert snapshots_of(cloud) == {first.snapshot.id, second.snapshot.id}
    read_everything(cloud)


def test_a_later_snapshot_that_fits_may_go_when_an_earlier_one_does_not() -> None:
    vault = new_repository()
    dice = random.Random(1)
    small, big = {b"a": dice.randbytes(2_000)}, {b"b": dice.randbytes(90_000)}
    first = back_up(vault, 0, small)
    too_big = back_up(vault, 1, {**small, **big})
    last = back_up(vault, 2, {**small, b"c": dice.randbytes(3_000)})
    cloud = MemoryStorage()
    report = replicate(vault, cloud, 20_000)
    assert set(report.snapshots) == {first.id, last.id}
    assert [refusal.snapshot.id for refusal in report.refused] == [too_big.id]
    assert set(read_everything(cloud)) == {first.id, last.id}


def test_a_snapshot_counts_what_it_shares_with_a_refused_one() -> None:
    vault = new_repository()
    dice = random.Random(2)
    big = {b"b": dice.randbytes(90_000)}
    back_up(vault, 0, big)
    back_up(vault, 1, {**big, b"c": b"small"})
    report = replicate(vault, MemoryStorage(), 20_000)
    assert report.snapshots == ()
    assert [refusal.needed > 90_000 for refusal in report.refused] == [True, True]


def test_the_reserve_is_left_for_upkeep(vault: Repository) -> None:
    size = plan_for(vault, MemoryStorage()).size
    cloud = MemoryStorage()
    report = replicate(vault, cloud, size + 99, reserve=100)
    assert report.outcome is Outcome.REFUSED
    assert total(cloud) <= size - 1


def test_without_room_for_the_keys_nothing_is_sent(vault: Repository) -> None:
    cloud = MemoryStorage()
    report = replicate(vault, cloud, 100)
    assert report.outcome is Outcome.REFUSED
    assert len(report.refused) == 4
    assert "own files" in str(report.refused[0].what)
    assert total(cloud) == 0


def test_when_something_else_took_the_room_the_gate_still_holds(vault: Repository) -> None:
    cloud = MemoryStorage()
    size = plan_for(vault, cloud).size
    gated = gate(cloud, size)
    opened = same_vault(vault)
    plan = plan_replication(opened, gated, gated.ledger)
    gated.put("data/another", bytes(10_000))
    report = execute_replication(plan, opened, gated)
    assert report.outcome is Outcome.REFUSED
    assert report.problem is None
    assert total(cloud) <= size
    cloud.delete("data/another")
    read_everything(cloud)


def test_it_gives_up_when_the_gate_refuses_what_was_planned_again(vault: Repository) -> None:
    cloud = MemoryStorage()
    gated = gate(cloud, 1_000_000)
    opened = same_vault(vault)
    plan = plan_replication(opened, gated, gated.ledger)

    class Full(GatedStorage):
        def put(self, key: str, data: Buffer) -> None:
            raise CapacityExceeded(memoryview(data).nbytes, 0, 1_000_000)

    report = execute_replication(plan, opened, Full(cloud, gated.ledger))
    assert report.outcome is Outcome.FAILED
    assert isinstance(report.problem, CapacityExceeded)
    assert report.files == 0


def test_another_repository_in_the_cloud_is_never_touched(vault: Repository) -> None:
    other = new_repository()
    save_files(other, {b"theirs": b"precious"})
    before = {info.key: other.storage.get(info.key) for info in other.storage.list()}
    with pytest.raises(OtherRepository) as refusal:
        replicate(vault, other.storage)
    assert "another repository" in str(refusal.value)
    other.storage.delete("config")
    with pytest.raises(OtherRepository):
        replicate(vault, other.storage)
    del before["config"]
    assert {info.key: other.storage.get(info.key) for info in other.storage.list()} == before


def test_a_config_that_was_read_badly_once_is_no_other_repository() -> None:
    class Flaky(StorageWrapper):
        bad = True

        def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
            data = super().get(key, offset, length)
            self.bad, bad = False, self.bad
            return data[:-1] + bytes([data[-1] ^ 1]) if bad else data

    vault = new_repository()
    back_up(vault, 1, DAYS[0])
    cloud = MemoryStorage()
    replicate(vault, cloud)
    assert plan_for(vault, Flaky(cloud)).file_count == 0


def test_a_cloud_file_of_another_size_is_a_finding_and_is_not_replaced(vault: Repository) -> None:
    plan = plan_for(vault, MemoryStorage())
    second = plan.steps[2]
    pack = next(file for file in second.files if file.key.startswith("data/"))
    cloud = MemoryStorage()
    cloud.put(pack.key, b"something else")
    report = replicate(vault, cloud)
    assert report.outcome is Outcome.FAILED
    assert [finding.subject for finding in report.findings] == [pack.key]
    assert cloud.get(pack.key) == b"something else"
    assert second.snapshot.id not in report.snapshots
    assert plan.steps[1].snapshot.id in report.snapshots


def test_a_file_damaged_in_the_vault_is_not_sent(vault: Repository) -> None:
    plan = plan_for(vault, MemoryStorage())
    pack = next(
        file
        for file in plan.steps[2].files
        if file.key.startswith("data/") and file.size == max(other.size for other in plan.steps[2].files)
    )
    content = bytearray(vault.storage.get(pack.key))
    content[100] ^= 1
    vault.storage.put(pack.key, content)
    independent = back_up(vault, 9, {b"d1": b"does not need it"})
    cloud = MemoryStorage()
    report = replicate(vault, cloud)
    assert report.outcome is Outcome.FAILED
    assert [finding.subject for finding in report.findings] == [pack.key]
    assert report.snapshots == (plan.steps[1].snapshot.id, independent.id)
    assert pack.key not in {info.key for info in cloud.list()}
    assert "need attention" in str(report.summary)
    read_everything(cloud)


def test_what_is_missing_or_unreadable_in_the_vault_is_told_and_the_rest_goes(vault: Repository) -> None:
    steps = plan_for(vault, MemoryStorage()).steps
    lost = max((file for file in steps[2].files if file.key.startswith("data/")), key=lambda file: file.size)
    vault.storage.delete(lost.key)
    torn = "snapshots/" + "cd" * 32
    vault.storage.put(torn, b"torn")
    cloud = MemoryStorage()
    report = replicate(vault, cloud)
    assert {finding.subject for finding in report.findings} == {lost.key, torn}
    assert report.snapshots == (steps[1].snapshot.id,)
    read_everything(cloud)


def test_a_snapshot_whose_folders_are_lost_does_not_hold_up_the_others(vault: Repository) -> None:
    steps = plan_for(vault, MemoryStorage()).steps
    trees = min((file for file in steps[1].files if file.key.startswith("data/")), key=lambda file: file.size)
    vault.storage.delete(trees.key)
    independent = back_up(vault, 9, {b"d1": b"does not need it"}, b"disk")
    cloud = MemoryStorage()
    report = replicate(vault, cloud)
    assert report.outcome is Outcome.FAILED
    assert steps[1].snapshot.id in {finding.subject for finding in report.findings}
    assert independent.id in report.snapshots
    read_everything(cloud)


def test_a_vault_that_goes_away_is_a_failure(vault: Repository) -> None:
    gone = False

    class Unplugged(StorageWrapper):
        def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
            if gone:
                raise LINE_DOWN
            return self.inner.get(key, offset, length)

        def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
            if gone:
                raise LINE_DOWN
            return self.inner.list(prefix)

    gated = gate(MemoryStorage(), None)
    opened = Repository.open(Unplugged(vault.storage), PASSWORD)
    plan = plan_replication(opened, gated, gated.ledger)
    gone = True
    report = execute_replication(plan, opened, gated)
    assert (report.outcome, report.problem, report.files) == (Outcome.FAILED, LINE_DOWN, 0)


def test_a_plan_that_was_cancelled_is_no_success(vault: Repository) -> None:
    gated = gate(MemoryStorage(), None)
    opened = same_vault(vault)
    plan = plan_replication(opened, gated, gated.ledger, cancelled=lambda: True)
    assert plan.cut_short
    assert execute_replication(plan, opened, gated).outcome is Outcome.CANCELLED


def test_what_the_cloud_lost_is_sent_again(vault: Repository) -> None:
    cloud = MemoryStorage()
    replicate(vault, cloud)
    for folder in ("data", "index"):
        cloud.delete(next(iter(cloud.list(folder))).key)
        report = replicate(vault, cloud)
        assert (report.outcome, report.files) == (Outcome.DONE, 1)
        assert read_everything(cloud) == read_everything(vault.storage)


def test_what_only_the_cloud_has_is_told_and_left_alone(vault: Repository) -> None:
    cloud = MemoryStorage()
    replicate(vault, cloud)
    first = vault.snapshots()[0]
    vault.storage.delete(f"snapshots/{first.id}")
    plan = plan_for(vault, cloud)
    assert plan.only_in_cloud == (f"snapshots/{first.id}",)
    assert plan.steps == ()
    assert snapshots_of(cloud) > {snapshot.id for snapshot in vault.snapshots()}


def test_a_second_key_opens_the_cloud_too(vault: Repository) -> None:
    cloud = MemoryStorage()
    replicate(vault, cloud)
    vault.add_key("recovery", hostname="box", username="kura")
    assert replicate(vault, cloud).files == 1
    assert Repository.open(cloud, "recovery").id == vault.id


def test_progress_ends_at_the_whole(vault: Repository) -> None:
    seen: list[Progress] = []
    gated = gate(MemoryStorage(), None)
    opened = same_vault(vault)
    plan = plan_replication(opened, gated, gated.ledger, on_progress=seen.append)
    assert [progress.item for progress in seen] == [snapshot.short_id for snapshot in vault.snapshots()]
    seen.clear()
    execute_replication(plan, opened, gated, on_progress=seen.append)
    last = max(seen, key=lambda progress: progress.bytes_done)
    assert last.bytes_done == last.bytes_total == plan.size
    assert last.files_done == last.files_total == plan.file_count


def test_files_are_sent_several_at_once_and_no_more(vault: Repository) -> None:
    class Meeting(StorageWrapper):
        """Lets packs pass two by two: one alone would wait in vain."""

        def __init__(self) -> None:
            super().__init__(MemoryStorage())
            self.most = 0
            self._now = 0
            self._lock = threading.Lock()
            self._pair = threading.Barrier(2)

        def put(self, key: str, data: object) -> None:
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
            if key.startswith("data/"):
                self._pair.wait(timeout=60)
            self.inner.put(key, data)
            with self._lock:
                self._now -= 1

    meeting = Meeting()
    gated = gate(meeting, None)
    opened = same_vault(vault)
    plan = plan_replication(opened, gated, gated.ledger)
    assert all(sum(file.key.startswith("data/") for file in step.files) == 2 for step in plan.steps[1:])
    report = execute_replication(plan, opened, gated, uploads=2)
    assert report.outcome is Outcome.DONE
    assert meeting.most == 2


def test_random_histories_and_capacities_leave_a_whole_cloud_within_its_limit() -> None:
    for seed in range(8):
        dice = random.Random(seed)
        vault = new_repository()
        cloud = MemoryStorage()
        files: dict[bytes, bytes] = {}
        for day in range(4):
            for _ in range(dice.randrange(4)):
                files[bytes([97 + dice.randrange(4), 48 + dice.randrange(5)])] = dice.randbytes(
                    dice.randrange(1, 20_000)
                )
            files[b"z"] = bytes([day])
            if len(files) > 1 and dice.random() < 0.4:
                del files[dice.choice(sorted(files))]
            back_up(vault, day, files, dice.choice([b"share", b"disk"]))
            capacity = dice.randrange(2_000, 120_000)
            if dice.random() < 0.3:
                replicate(vault, FailingStorage(cloud, dice.randrange(8), LINE_DOWN), capacity)
            held_before = total(cloud)
            report = replicate(vault, cloud, capacity)
            assert total(cloud) <= max(capacity, held_before)
            if snapshots_of(cloud):
                everything = read_everything(vault.storage)
                assert read_everything(cloud) == {name: everything[name] for name in snapshots_of(cloud)}
            waiting = {refusal.snapshot.id for refusal in report.refused if refusal.snapshot}
            assert snapshots_of(cloud) | waiting == snapshots_of(vault.storage)
        assert replicate(vault, cloud).outcome is Outcome.DONE
        assert read_everything(cloud) == read_everything(vault.storage)


def test_refusals_and_reports_speak_japanese(vault: Repository) -> None:
    report = replicate(vault, MemoryStorage(), 10_000)
    assert "スナップショット" in report.summary.render("ja")
    with pytest.raises(CapacityExceeded):
        gate(MemoryStorage(), 10).put("data/a", bytes(11))


@pytest.mark.needs("restic")
def test_stock_restic_reads_the_cloud(vault: Repository, tmp_path: Path) -> None:
    cloud = MemoryStorage()
    size = plan_for(vault, MemoryStorage()).size
    assert replicate(vault, cloud, size - 1).outcome is Outcome.REFUSED
    place = tmp_path / "cloud"
    for info in copy_of(cloud).list():
        path = place / info.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cloud.get(info.key))

    def restic(*words: str) -> None:
        subprocess.run(
            ["restic", "-r", str(place), "--no-cache", *words],
            env={"RESTIC_PASSWORD": PASSWORD, "PATH": "/usr/bin:/bin"},
            check=True,
            capture_output=True,
        )

    restic("check", "--read-data")
    restic("restore", "latest", "--target", str(tmp_path / "restored"))
    restored = {path.name.encode(): path.read_bytes() for path in (tmp_path / "restored").rglob("*") if path.is_file()}
    assert restored == {**DAYS[0], **DAYS[1]}
