"""Verifying the cloud, or the vault where there is no cloud: a portion is read back, files are restored for trial."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from appliance.backup.nodes import is_unchanged, node_of
from appliance.backup.plan import path_names
from appliance.box import Box
from appliance.daemon.instance import VaultTurn, vault_job
from appliance.daemon.jobs import JobReport
from appliance.daemon.memory import LAST_VERIFICATION
from appliance.daemon.requests import VerifyJob
from appliance.daemon.work.common import EXIT_CODES, PATIENCE, Cancelled, OnProgress, reading
from appliance.errors import KurabakoError
from appliance.identity import NoIdentity, box_id
from appliance.repository import DamagedData, FileType, NotARepository, Repository
from appliance.sources.interface import Entry, EntryType, Source, SourceFile
from appliance.status.model import Outcome, Progress
from appliance.storage import MeteredStorage
from appliance.storage.interface import Storage
from appliance.text import T, Text
from appliance.units import format_size
from appliance.verification import (
    Candidate,
    Compared,
    Damage,
    NearStorage,
    Original,
    Report,
    Reports,
    Rules,
    SampledFile,
    age_of,
    choose_files,
    damages_of,
    list_inventory,
    plan_portion,
    read_back,
    restore_for_trial,
    take_inventory,
)
from appliance.verification.execute import Inventory, ReadBack
from appliance.verification.model import Portion
from appliance.verification.report import (
    Checked,
    Damaged,
    NotChecked,
    ReportRules,
    Restored,
    Whole,
    listed,
    shortened,
)

TRAFFIC = "verification.traffic"
"""The state's name for what was read today."""

TRIAL_BYTES = 64 << 20
"""Bytes of one file that are restored for trial, at most."""


def verify(
    box: Box,
    job: VerifyJob,
    on_progress: OnProgress,
    is_cancelled: Cancelled,
    chance: Callable[[int], int] = secrets.randbelow,
) -> JobReport:
    patient = vault_job(box.settings.box.state_dir, patience=PATIENCE, cancelled=is_cancelled)
    with patient as turn, ExitStack() as stack:
        on_progress(Progress(T("Looking at what is stored")))
        try:
            repository = box.open_cloud() if box.has_cloud else box.open_home()
        except NotARepository:
            if not box.has_vault:
                raise
            return JobReport(Outcome.DONE, T("Nothing is stored in the cloud yet."), 0)
        metered = MeteredStorage(repository.storage)
        stack.enter_context(closing(metered))
        repository = repository.at(metered)
        near: Storage | None = None
        if box.has_cloud and box.has_vault:
            with suppress(KurabakoError):
                vault = box.open_home()
                stack.enter_context(closing(vault.storage))
                near = vault.storage if vault.is_copy_of(repository) else None
        return _Verification(box, job, repository, near, metered, chance, turn).run(on_progress, is_cancelled)


class _Verification:
    def __init__(
        self,
        box: Box,
        job: VerifyJob,
        repository: Repository,
        near: Storage | None,
        metered: MeteredStorage,
        chance: Callable[[int], int],
        turn: VaultTurn,
    ) -> None:
        self.box = box
        self.job = job
        self.repository = repository
        self.near = near
        self.metered = metered
        self.chance = chance
        self.turn = turn
        self.noted: set[bytes] = set()
        self.place = repository.storage.location
        rules = box.settings.verification.rules
        self.rules = rules if job.sample is None else Rules(rules.every, rules.traffic_per_day, job.sample)
        self.began_at = box.clock()
        self.day = self.began_at.astimezone(box.zone).date().isoformat()
        noted = box.state.value(TRAFFIC, {})
        self.spent_before: int = noted["bytes"] if noted.get("day") == self.day else 0

    @property
    def spent(self) -> int:
        """Bytes read today."""
        return self.spent_before + self.metered.counts.bytes_down

    def run(self, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
        """Reads back and restores; another job that waits goes first, and what it left is looked at anew."""
        restored: list[SampledFile] = []
        unreadable: list[Damage] = []
        done = ReadBack(0, 0, ())
        while True:
            with reading(self.box, self.repository):
                storage = NearStorage(self.metered, self.near) if self.near else self.metered
                repository = self.repository.at(storage)
                inventory = self.take_inventory(repository)
                self.box.state.see_packs(self.place, inventory.sizes.keys(), self.began_at)
                if not self.noted and inventory.files:
                    restored, unreadable = self.restore_sample(repository)
                portion = self.plan(inventory)
                done += read_back(
                    self.repository,
                    portion,
                    inventory.others,
                    note=self.note,
                    on_progress=on_progress,
                    cancelled=lambda: is_cancelled() or self.turn.is_wanted(),
                )
            if not done.cancelled or is_cancelled() or not self.turn.let_others_go_first(is_cancelled):
                break
        self.note_traffic()
        known = self.box.state.packs_of(self.place)
        damages = (
            *inventory.damages,
            *unreadable,
            *damages_of((each for each in sorted(known) if known[each].damaged), inventory.others),
            *(Damage("file-damaged", one.snapshot[:8]) for one in restored if one.found is Compared.DAMAGED),
        )
        age = age_of(inventory.sizes, known, self.rules, self.box.clock())
        whole = Whole(len(inventory.sizes), portion.total, age.verified, age.never, age.oldest)
        name, report = Reports(self.box.settings.box.state_dir).add(
            lambda key: self.report(key, inventory, portion, done, whole, restored, damages), self.began_at
        )
        self.remember(name, report)
        return _job_report(name, report, done)

    def take_inventory(self, repository: Repository) -> Inventory:
        """By the index, unless that is far away and more than may be read today."""
        index = sum(info.size for info in repository.list_files(FileType.INDEX))
        allowed = self.rules.traffic_per_day
        if self.near is None and allowed is not None and not self.job.everything and index > allowed - self.spent:
            return list_inventory(repository)
        return take_inventory(repository)

    def plan(self, inventory: Inventory) -> Portion:
        """What is still to be read back now."""
        known = self.box.state.packs_of(self.place)
        portion = plan_portion(
            inventory.sizes, known, self.rules, self.box.clock(), spent=self.spent, everything=self.job.everything
        )
        return replace(portion, packs=tuple(each for each in portion.packs if each[0] not in self.noted))

    def restore_sample(self, repository: Repository) -> tuple[list[SampledFile], list[Damage]]:
        """Files restored for trial, and directories that kept some from being found."""
        allowed = self.rules.traffic_per_day
        left = TRIAL_BYTES * max(1, self.rules.sample) if allowed is None else max(0, allowed - self.spent) // 4
        limit = min(TRIAL_BYTES, left // max(1, self.rules.sample))
        snapshots = repository.snapshots(on_damage=lambda _: None)
        try:
            files = choose_files(repository, snapshots, self.rules.sample, self.chance)
        except DamagedData as damage:
            return [], [Damage("tree-damaged", damage.name)]
        with _originals(self.box) as find_original:
            restored = [restore_for_trial(repository, each, find_original, limit) for each in files]
        return restored, []

    def note(self, pack: bytes, _: int, whole: bool) -> None:
        self.noted.add(pack)
        self.box.state.read_back(self.place, pack, self.box.clock(), whole=whole)
        self.note_traffic()

    def note_traffic(self) -> None:
        self.box.state.set_value(TRAFFIC, {"day": self.day, "bytes": self.spent})

    def report(
        self,
        key: str,
        inventory: Inventory,
        portion: Portion,
        done: ReadBack,
        whole: Whole,
        restored: list[SampledFile],
        damages: tuple[Damage, ...],
    ) -> Report:
        why = "portion"
        if done.problem is not None:
            why = done.problem.code
        elif done.cancelled:
            why = "stopped"
        every = self.rules.every
        return Report(
            box=self.box.name,
            box_id=_box_id(),
            place=self.place,
            repository=self.repository.id,
            key=key,
            began_at=self.began_at,
            ended_at=self.box.clock(),
            rules=ReportRules(every.days, self.rules.traffic_per_day, self.rules.sample),
            whole=whole,
            checked=Checked(done.packs, done.size, inventory.files),
            not_checked=NotChecked(whole.packs - done.packs, portion.total - done.size, why),
            restored=[
                Restored(one.snapshot, shortened(one.path), one.file_size, one.size, one.found.value)
                for one in restored
            ],
            damages=listed([Damaged(one.kind, one.name) for one in damages]),
            damages_count=len(damages),
            keeps_up=portion.keeps_up,
            per_day=portion.per_day,
        )

    def remember(self, name: str, report: Report) -> None:
        """For the Status, and as evidence; no path of a customer's file is in it."""
        figures = {**_figures(name, report), "at": report.ended_at.isoformat(), "damages": report.damages_count}
        self.box.state.set_value(LAST_VERIFICATION, figures)
        self.box.agreement.record(
            "verification",
            {
                **figures,
                "checked_bytes": report.checked.bytes,
                "restored_files": len(report.restored),
                "key": report.key,
            },
        )


def _box_id() -> str:
    try:
        return box_id()
    except NoIdentity:
        return ""


def _figures(name: str, report: Report) -> dict[str, Any]:
    """How the whole stands after this report."""
    oldest = report.whole.oldest_at
    return {
        "report": name,
        "place": report.place,
        "total_bytes": report.whole.bytes,
        "verified_bytes": report.whole.verified_bytes,
        "oldest_at": oldest.isoformat() if oldest else None,
        "keeps_up": report.keeps_up,
        "per_day": report.per_day,
    }


def _job_report(name: str, report: Report, done: ReadBack) -> JobReport:
    values = {
        "size": format_size(report.checked.bytes),
        "packs": report.checked.packs,
        "files": len(report.restored),
        "place": report.place,
        "report": name,
    }
    summary: Text
    if report.damages_count:
        outcome = Outcome.FAILED
        summary = T(
            "{count} damages were found in {place}. The report {report} names them.",
            count=report.damages_count,
            **values,
        )
    elif done.cancelled:
        outcome = Outcome.CANCELLED
        summary = T("The verification was ended after {size}; what was read back counts.", **values)
    elif done.problem is not None:
        outcome = Outcome.PARTIAL
        summary = T("The verification ended early after {size}. {why}", why=done.problem.what, **values)
    else:
        outcome = Outcome.DONE
        summary = T(
            "{size} of {place} were read back and {files} files restored for trial; all of it is whole.", **values
        )
    details = {
        **_figures(name, report),
        "packs": report.checked.packs,
        "bytes": report.checked.bytes,
        "restored": [{"path": one.path, "found": one.found} for one in report.restored],
        "damages_count": report.damages_count,
        "damages": [{"name": one.name, "what": T("It is damaged.").to_json()} for one in report.damages],
    }
    return JobReport(outcome, summary, int(EXIT_CODES[outcome]), report.checked.bytes, details)


# Files of the sources


@dataclass
class _SourceOriginal:
    """A file that is open in its source."""

    file: SourceFile

    def read(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        done = 0
        while done < size and (count := self.file.readinto(view[done:])):
            done += count
        return bytes(view[:done])

    def close(self) -> None:
        self.file.close()


@contextmanager
def _originals(box: Box) -> Iterator[Callable[[Candidate], Original | None]]:
    """Finds files in the designated sources that are there now; each source is opened when it is first needed."""
    with ExitStack() as stack:
        opened: list[Source] | None = None

        def find(candidate: Candidate) -> Original | None:
            nonlocal opened
            if opened is None:
                opened = []
                for known in box.known_sources():
                    if known.designated and known.found.present and known.found.collectable:
                        with suppress(KurabakoError):
                            opened.append(stack.enter_context(closing(box.open_source(known.found.id))))
            for source in opened:
                prefix = path_names(source.snapshot_path)
                if source.snapshot_path in candidate.snapshot.paths and candidate.names[: len(prefix)] == prefix:
                    with suppress(KurabakoError):
                        return _open_unchanged(source, candidate.names[len(prefix) :], candidate)
            return None

        yield find


def _open_unchanged(source: Source, path: tuple[bytes, ...], candidate: Candidate) -> Original | None:
    """The file behind `path`, if its size and times are still those of the snapshot."""
    entry: Entry | None = source.root() if not path else None
    if path:
        entry = next((each for each in source.scandir(path[:-1]) if each.name == path[-1]), None)
    if entry is None or entry.type is not EntryType.FILE:
        return None
    source.complete(path, entry)
    if not is_unchanged(node_of(entry), candidate.node, trusts_inode=source.trusts_inode):
        return None
    return _SourceOriginal(source.open(path, entry))
