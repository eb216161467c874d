"""Carries out a plan: several files at once, each verified against its name before it is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby

from appliance.capacity import CapacityExceeded, GatedStorage
from appliance.errors import KurabakoError
from appliance.replication.files import read_whole
from appliance.replication.model import Finding, Refusal, ReplicationPlan, Step
from appliance.replication.plan import plan_replication
from appliance.repository import Repository
from appliance.repository.ids import CONFIG_KEY
from appliance.status.model import Outcome, Progress
from appliance.storage.interface import ObjectInfo
from appliance.text import T, Text
from appliance.units import format_size

UPLOADS = 4
"""Files sent at once. Each is in memory while it is sent: packs are 16 MiB, rarely more."""


@dataclass(frozen=True)
class ReplicationReport:
    """What became of a replication. `problem` ended it before its time; all that was sent stays and counts.

    `snapshots` are the ids that are complete in the cloud now and were not before. `deleted` files went from the cloud,
    which freed `bytes_freed`; `carried`: nothing is there any more that the vault let go of. `kept_back` is why nothing
    was deleted. `held` are the ids of snapshots that stay in the vault.
    """

    outcome: Outcome
    snapshots: tuple[str, ...]
    files: int
    bytes_done: int
    refused: tuple[Refusal, ...]
    findings: tuple[Finding, ...]
    problem: KurabakoError | None = None
    deleted: int = 0
    bytes_freed: int = 0
    carried: bool = False
    kept_back: KurabakoError | None = None
    held: tuple[str, ...] = ()

    @property
    def summary(self) -> Text:
        """The report in a sentence or two."""
        if not self.held:
            return self._what_was_done
        return T(
            "{what} {count} snapshots stay in the vault, as the contract has it.",
            what=self._what_was_done,
            count=len(self.held),
        )

    @property
    def _what_was_done(self) -> Text:
        figures = {"snapshots": len(self.snapshots), "size": format_size(self.bytes_done)}
        if self.problem is not None:
            return T(
                "Replication stopped after {snapshots} snapshots, {size}. {problem}",
                **figures,
                problem=self.problem.what,
            )
        if self.outcome is Outcome.CANCELLED:
            return T("Replication was cancelled after {snapshots} snapshots, {size}.", **figures)
        if self.findings:
            return T(
                "{snapshots} snapshots were replicated, {size}, but {findings} files need attention. {first}",
                **figures,
                findings=len(self.findings),
                first=self.findings[0].what,
            )
        if self.refused:
            return T(
                "{snapshots} snapshots were replicated, {size}; {refused} do not fit. {first}",
                **figures,
                refused=len(self.refused),
                first=self.refused[0].what,
            )
        if self.deleted:
            return T(
                "{snapshots} snapshots were replicated, {size}; {deleted} files that the vault let go of were deleted "
                "({freed}).",
                **figures,
                deleted=self.deleted,
                freed=format_size(max(0, self.bytes_freed)),
            )
        if not self.files:
            return T("The cloud already has every snapshot of the vault.")
        return T("{snapshots} snapshots were replicated, {size}.", **figures)


def _silent(_: Progress) -> None:
    """For who does not want to know."""


def _never() -> bool:
    return False


def execute_replication(
    plan: ReplicationPlan,
    vault: Repository,
    cloud: GatedStorage,
    *,
    uploads: int = UPLOADS,
    on_progress: Callable[[Progress], None] = _silent,
    cancelled: Callable[[], bool] = _never,
) -> ReplicationReport:
    """Sends what `plan` says from `vault` to `cloud`, through the gate whose ledger the plan was made with.

    The caller holds the vault's lock, and the cloud's where it can. Whatever ends it (a line that is down, `cancelled`,
    a kill), the cloud stays a complete repository of the snapshots it has; a new plan goes on from there. When a step
    cannot be done (a file damaged in the vault, room taken by somebody else), the rest is planned again without it.
    `on_progress` is called from any thread, one call at a time.
    """
    return _Executor(plan, vault, cloud, uploads, on_progress, cancelled).execute()


class _Executor:
    def __init__(
        self,
        plan: ReplicationPlan,
        vault: Repository,
        cloud: GatedStorage,
        uploads: int,
        on_progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._plan = plan
        self._vault = vault
        self._cloud = cloud
        self._uploads = uploads
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._lock = threading.Lock()
        self._files = 0
        self._bytes = 0
        self._snapshots: list[str] = []
        self._files_total = plan.file_count
        self._bytes_total = plan.size
        self._damaged: dict[str, Finding] = {}
        self._failure: KurabakoError | None = None
        """The failure of a place itself, after which nothing more is sent."""
        self._refusal: CapacityExceeded | None = None
        self._planned_at: tuple[int, int] | None = None
        self._was_cancelled = False
        self._step_ended = False

    def execute(self) -> ReplicationReport:
        with ThreadPoolExecutor(self._uploads, thread_name_prefix="replicate") as pool:
            while not self._send_steps(pool):
                self._plan_again()
        return ReplicationReport(
            outcome=self._outcome(),
            snapshots=tuple(self._snapshots),
            files=self._files,
            bytes_done=self._bytes,
            refused=self._plan.refused,
            findings=self._plan.findings,
            problem=self._failure,
            held=tuple(sorted(self._plan.held.snapshots)),
        )

    def _send_steps(self, pool: ThreadPoolExecutor) -> bool:
        """Sends the plan's steps; False when one could not be done, so that the rest has to be planned again."""
        for step in self._plan.steps:
            if self._send(step, pool):
                if step.snapshot is not None:
                    self._snapshots.append(step.snapshot.id)
            else:
                return self._was_cancelled or self._failure is not None
        return True

    def _plan_again(self) -> None:
        progress = (self._files, len(self._damaged))
        if self._refusal is not None and progress == self._planned_at:
            # The gate keeps refusing what the plan counts as fitting: somebody else stores there without end.
            self._failure = self._refusal
            self._plan = replace(self._plan, steps=())
            return
        self._planned_at = progress
        try:
            self._plan = plan_replication(
                self._vault,
                self._cloud,
                self._cloud.ledger,
                held=self._plan.held,
                damaged=self._damaged,
                cancelled=self._cancelled,
            )
        except KurabakoError as error:
            self._failure = error
            self._plan = replace(self._plan, steps=())
        self._files_total = self._files + self._plan.file_count
        self._bytes_total = self._bytes + self._plan.size

    def _outcome(self) -> Outcome:
        if self._failure:
            return Outcome.FAILED
        if self._was_cancelled or self._plan.cut_short:
            return Outcome.CANCELLED
        if not all(finding.kept for finding in self._plan.findings):
            return Outcome.FAILED
        if self._plan.refused:
            return Outcome.REFUSED
        return Outcome.PARTIAL if self._plan.findings else Outcome.DONE

    def _send(self, step: Step, pool: ThreadPoolExecutor) -> bool:
        """Sends a step, kind after kind; whether all of it arrived."""
        self._step_ended = False
        for _, files in groupby(step.files, key=lambda file: file.key.partition("/")[0]):
            waiting = iter(tuple(files))
            results = [pool.submit(self._send_files, waiting) for _ in range(self._uploads)]
            arrived = [result.result() for result in results]
            if not all(arrived):
                return False
        return True

    def _send_files(self, waiting: Iterator[ObjectInfo]) -> bool:
        """One of the threads that share `waiting`; whether every file it took arrived and there are no more."""
        while True:
            with self._lock:
                if self._step_ended:
                    return False
                file = next(waiting, None)
            if file is None:
                return True
            if self._cancelled():
                with self._lock:
                    self._was_cancelled = self._step_ended = True
                return False
            if not self._send_file(file):
                return False

    def _send_file(self, file: ObjectInfo) -> bool:
        try:
            content = read_whole(self._vault, file.key)
        except KurabakoError as error:
            with self._lock:
                self._step_ended = True
                if file.key == CONFIG_KEY:
                    self._failure = self._failure or error
                else:
                    self._damaged.setdefault(file.key, Finding(file.key, error.what))
            return False
        try:
            self._cloud.put(file.key, content)
        except CapacityExceeded as refusal:
            with self._lock:
                self._step_ended = True
                self._refusal = refusal
            return False
        except KurabakoError as error:
            with self._lock:
                self._step_ended = True
                if self._cancelled():
                    self._was_cancelled = True
                else:
                    self._failure = self._failure or error
            return False
        with self._lock:
            self._files += 1
            self._bytes += file.size
            self._on_progress(
                Progress(
                    T("Replicating to the cloud"),
                    bytes_done=self._bytes,
                    bytes_total=self._bytes_total,
                    files_done=self._files,
                    files_total=self._files_total,
                    item=file.key,
                )
            )
        return True
