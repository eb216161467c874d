"""One planned run as the contract sees it: what of it is sent, what became of it, and the evidence of that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from appliance.agreement import Contract
from appliance.box import Box
from appliance.contract.box_state import Action
from appliance.contract.slots import Cause, Collected, JobEnd, Verdict, came_late, kept_back, overran, verdict
from appliance.daemon.held import held_now
from appliance.daemon.jobs import JobReport
from appliance.daemon.requests import JobRequest, ReplicateJob
from appliance.daemon.starts import PlannedRun
from appliance.daemon.supervisor import Job
from appliance.daemon.work import backup_requests
from appliance.state import SlotOutcome, SlotRecord


class Collecting:
    """A planned run, from its begin to its end. The leg into the vault is never held back."""

    def __init__(self, box: Box, run: PlannedRun) -> None:
        self._box = box
        self._run = run
        self._begun = box.clock()
        self._lost = self._lost_before() if box.has_cloud else None

    def requests(self) -> list[JobRequest]:
        """The jobs of the run; without those that send, where the box slept through a time that is not made up for."""
        requests = backup_requests(self._box, self._run.sources)
        if self._lost is None or not self._run.late:
            return requests
        return [one for one in requests if not isinstance(one, ReplicateJob)] if self._box.has_vault else []

    async def follow(self, jobs: Sequence[Job]) -> None:
        """Waits for the run's jobs and records what became of it. Raises `StateError`."""
        ends = [await job.ended() for job in jobs]
        self._run.planner.ended(self._run.slot, [one.outcome for one in ends])
        self.ended(jobs[0].id if jobs else "", ends)

    def ended(self, job_id: str, ends: Sequence[JobReport]) -> None:
        """Records what became of the run. Raises `StateError`."""
        contract = self._box.contract
        window = contract.entitlement.backup_window if contract.entitlement is not None else None
        over = overran(window, self._begun, self._box.clock())
        found = [JobEnd(one.outcome.value, one.error.code if one.error is not None else "") for one in ends]
        # A suspension may also have begun in the middle, and cut the run off.
        lost = self._lost or (self._lost_before() if any(one.outcome == "cancelled" for one in found) else None)
        told = lost or verdict(contract.terms, found, over)
        self._record(job_id, self._without_held(told, contract) if told.result is Collected.DONE else told)

    def _without_held(self, done: Verdict, contract: Contract) -> Verdict:
        """The verdict on a run that did all it might: not all was sent where sources of it are held back."""
        held = held_now(self._box, contract)
        clauses = [held[one].clause for one in self._run.sources if one in held]
        if not clauses:
            return done
        whole = len(clauses) == len(self._run.sources)
        return Verdict(Collected.SKIPPED_SUSPENDED if whole else Collected.PARTIAL, Cause.SUSPENSION, clauses[0])

    def _lost_before(self) -> Verdict | None:
        contract = self._box.contract
        against = contract.against(Action.UPLOAD, self._box.cloud_location)
        if against is not None:
            return kept_back(contract.terms, against)
        return came_late(contract.terms) if self._run.late else None

    def _record(self, job_id: str, told: Verdict) -> None:
        record = SlotRecord(
            self._run.planner.name,
            self._run.slot,
            SlotOutcome(told.result.value),
            job_id,
            told.cause.value if told.cause is not None else "",
            told.clause,
            int(told.overran / timedelta(seconds=1)),
        )
        self._box.state.record_slot(record)
        self._box.agreement.record(
            "slot",
            {
                "schedule": record.name,
                "planned_at": record.planned_at.isoformat(),
                "result": record.outcome.value,
                "cause": record.cause,
                "clause": record.clause,
                "overran_seconds": record.overran,
                "job": job_id,
            },
        )
