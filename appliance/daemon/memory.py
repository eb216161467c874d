"""What the box remembers of its jobs, so that a restart, in order or not, loses nothing of it.

A job is remembered when it starts and when it ends. One that is found started but not ended was interrupted: by a
power cut, by `kill -9`. It is told as such, and the work that can simply go on goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from appliance.daemon.jobs import JobReport, error_from_json
from appliance.daemon.requests import (
    BackupJob,
    CheckJob,
    JobRequest,
    ReplicateJob,
    RestoreJob,
    UnreadableLine,
    UpkeepJob,
    decode_request,
    encode_request,
)
from appliance.errors import KurabakoError
from appliance.state import State
from appliance.status.model import JobResult, Outcome, PlaceStatus
from appliance.text import T, Text

logger = logging.getLogger(__name__)

MISTAKES = frozenset({"repository.snapshot-not-found", "repository.snapshot-ambiguous", "restore.path-not-found"})
"""Codes of errors that are told to who mistyped a name, and are no trouble of the box."""

RUNNING = "jobs.running"
LAST_VERIFICATION = "verification.last"
"""How the last verification ended."""

KEPT_BACK = "replication.kept-back"
PROTECTION = "cloud.protection"
"""What the last job on the cloud told of how its files are protected."""
SENDING = "cloud.sending"
"""Where to, and since when, is sent what nobody has looked at the dates of."""

PLACES = {"vault": "place.vault", "cloud": "place.cloud"}


OnFound: TypeAlias = Callable[[str, JobRequest, datetime], None]
"""Told of a job that never ended: its id, what it was to do, and when it had begun."""


class Memory:
    """Jobs, places and what waits for room, in the box's state. Raises `StateError` when the disk does not let it."""

    def __init__(self, state: State) -> None:
        self._state = state

    # Jobs

    def started(self, job_id: str, request: JobRequest, at: datetime) -> None:
        """Remembers that a job runs."""
        running = self._state.value(RUNNING, {})
        running[job_id] = {"request": encode_request(request), "started_at": at.isoformat()}
        self._state.set_value(RUNNING, running)

    def ended(self, job_id: str, request: JobRequest, started_at: datetime, at: datetime, report: JobReport) -> None:
        """Remembers how it ended, and what it found out about the places; not a mistake of who asked for it."""
        if report.error is not None and report.error.code in MISTAKES:
            self._forget(job_id)
            return
        self._state.add_result(
            JobResult(
                job_id,
                request.kind,
                request.subject,
                started_at,
                at,
                report.outcome,
                report.summary,
                report.bytes_done,
            )
        )
        self._note_places(request, report, at)
        self._forget(job_id)

    def interrupted(self, at: datetime, on_found: OnFound = lambda *_: None) -> tuple[JobRequest, ...]:
        """Tells of jobs that never ended, each to `on_found` too, and returns those that are to be started again."""
        again: list[JobRequest] = []
        for job_id, note in self._state.value(RUNNING, {}).items():
            try:
                request = decode_request(note["request"])
                started_at = datetime.fromisoformat(note["started_at"])
            except (UnreadableLine, ValueError):
                logger.warning("the note of job %s cannot be read", job_id)
            else:
                logger.warning("job %s (%s) was interrupted", job_id, request.kind)
                on_found(job_id, request, started_at)
                self._state.add_result(
                    JobResult(
                        job_id,
                        request.kind,
                        request.subject,
                        started_at,
                        at,
                        Outcome.FAILED,
                        interruption(request),
                    )
                )
                if isinstance(request, (BackupJob, ReplicateJob, UpkeepJob)):
                    again.append(request)
            self._forget(job_id)
        return tuple(again)

    def _forget(self, job_id: str) -> None:
        running = self._state.value(RUNNING, {})
        if running.pop(job_id, None) is not None:
            self._state.set_value(RUNNING, running)

    # Places

    def place(self, name: str, location: str) -> PlaceStatus:
        """What is known of the `vault` or the `cloud` at `location`; nothing when another place was meant then."""
        known = self._state.value(PLACES[name], {})
        if known.get("location") != location:
            return PlaceStatus(location, None)
        checked_at = known.get("checked_at")
        return PlaceStatus(
            location,
            known.get("reachable"),
            datetime.fromisoformat(checked_at) if checked_at else None,
            known.get("stored_bytes"),
            known.get("snapshots"),
        )

    def found_place(self, name: str, location: str, reachable: bool, at: datetime) -> None:
        """Remembers whether a place answered. While it does not, the moment is that of the first time it did not."""
        known = self._known(name, location)
        if reachable or known.get("reachable") is not False:
            known["checked_at"] = at.isoformat()
        known["reachable"] = reachable
        self._state.set_value(PLACES[name], known)

    def measured_place(self, name: str, location: str, figures: Mapping[str, Any], at: datetime) -> None:
        """Remembers what a place holds: `stored_bytes` and `snapshots`."""
        known = self._known(name, location)
        known |= {"reachable": True, "checked_at": at.isoformat()}
        known |= {key: figures[key] for key in ("stored_bytes", "snapshots")}
        self._state.set_value(PLACES[name], known)

    def kept_back(self) -> tuple[KurabakoError, datetime] | None:
        """Why nothing is deleted in the cloud, and when the last replication said so."""
        note = self._state.value(KEPT_BACK)
        return (error_from_json(note), datetime.fromisoformat(note["at"])) if note else None

    def protection(self) -> tuple[dict[str, Any], datetime] | None:
        """What the last job told of the cloud's protection, and when."""
        note = self._state.value(PROTECTION)
        return (note, datetime.fromisoformat(note["at"])) if note else None

    def sends(self, location: str, at: datetime) -> None:
        """Remembers that from now on files are sent there whose dates are not known, if none were before."""
        if self.sending_since(location) is None:
            self._state.set_value(SENDING, {"location": location, "since": at.isoformat()})

    def sending_since(self, location: str) -> datetime | None:
        """Since when files are sent there whose dates are not known; None where all are known."""
        note = self._state.value(SENDING)
        return datetime.fromisoformat(note["since"]) if note and note["location"] == location else None

    def all_dates_are_known(self) -> None:
        """Remembers that the dates of all that was sent are known."""
        self._state.set_value(SENDING, None)

    def _known(self, name: str, location: str) -> dict[str, Any]:
        known: dict[str, Any] = self._state.value(PLACES[name], {})
        return known if known.get("location") == location else {"location": location}

    def _note_places(self, request: JobRequest, report: JobReport, at: datetime) -> None:
        details = report.details
        if isinstance(request, (BackupJob, UpkeepJob)) and "home" in details:
            home = details["home"]
            self.measured_place(home["name"], home["location"], home, at)
        if (protection := details.get("protection")) is not None:
            self._state.set_value(PROTECTION, {**protection, "at": at.isoformat()})
        if isinstance(request, ReplicateJob) and "cloud" in details:
            cloud = details["cloud"]
            self.measured_place("cloud", cloud["location"], cloud, at)
            kept_back = details.get("kept_back")
            self._state.set_value(KEPT_BACK, kept_back and {**kept_back, "at": at.isoformat()})


def interruption(request: JobRequest) -> Text:
    """What an interrupted job means for the person who reads of it."""
    match request:
        case RestoreJob():
            return T("It was interrupted: the box was switched off or restarted. Start the restore again.")
        case CheckJob():
            return T("It was interrupted: the box was switched off or restarted. It found out nothing.")
        case _:
            return T("It was interrupted: the box was switched off or restarted. What was stored is kept.")
