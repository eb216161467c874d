"""Alarms: changes that look like ransomware. Until a person has answered, older snapshots stay; nothing is deleted."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from appliance.backup import BackupReport
from appliance.backup.change import Change, Suspicion, Unusual, measure_change
from appliance.box import Box
from appliance.errors import KurabakoError
from appliance.repository import Repository, Snapshot
from appliance.state import State
from appliance.status.model import Problem, Severity
from appliance.text import T, Text
from appliance.upkeep import Reason

logger = logging.getLogger(__name__)

_KEY = "alarms"
_COMPARED = "alarms.compared"
"""The state's name for the last snapshot of each source that was looked at, by host and paths."""

KEPT = 100
"""Alarms that are remembered; of those answered as harmless the oldest go first."""


class Answer(StrEnum):
    """What a person says to an alarm."""

    HARMLESS = "harmless"
    ATTACK = "attack"


class NoSuchAlarm(KurabakoError):
    """There is no alarm of this name."""

    code = "alarm.not-found"


class HeldByAlarm(KurabakoError):
    """Snapshots are not forgotten while an alarm is not answered, or was answered as an attack."""

    code = "alarm.holds"


@dataclass(frozen=True)
class Alarm:
    """A snapshot (`id` begins its id) in which an unusual part of the files is other than in the one before."""

    id: str
    source: str
    hostname: str
    paths: tuple[str, ...]
    at: datetime
    change: Change
    suspicions: tuple[Suspicion, ...]
    answer: Answer | None = None

    @property
    def holds(self) -> bool:
        """Whether the snapshots before it stay."""
        return self.answer is not Answer.HARMLESS

    @property
    def what(self) -> Text:
        """What was seen, in one sentence."""
        return T(
            "Of the {files} files of {source}, {scrambled} became unreadable noise, {renamed} were renamed and "
            "{vanished} vanished since the backup before. That may be ransomware.",
            files=self.change.files,
            source=self.source,
            scrambled=self.change.scrambled,
            renamed=self.change.renamed,
            vanished=self.change.vanished,
        )

    def held(self, snapshots: Iterable[Snapshot]) -> Iterator[Snapshot]:
        """Those of the snapshots that it holds: of its source, and older than it."""
        if self.holds:
            for each in snapshots:
                of_source = each.hostname == self.hostname and tuple(sorted(each.paths)) == self.paths
                if of_source and each.moment < self.at:
                    yield each


class Alarms:
    """The alarms in the box's memory. Raises `StateError` when the disk does not let it."""

    def __init__(self, state: State) -> None:
        self._state = state

    def all(self) -> list[Alarm]:
        """Every alarm that is remembered, the newest last."""
        return [_from_json(note) for note in self._state.value(_KEY, [])]

    def open(self) -> list[Alarm]:
        """Those that nobody has answered."""
        return [alarm for alarm in self.all() if alarm.answer is None]

    def add(self, alarm: Alarm) -> None:
        """Remembers an alarm."""
        self._save([*(one for one in self.all() if one.id != alarm.id), alarm])

    @property
    def compared(self) -> frozenset[str]:
        """The last snapshot of each source that was looked at, by id: what comes later is compared with it."""
        return frozenset(self._state.value(_COMPARED, {}).values())

    def note_compared(self, snapshot: Snapshot) -> None:
        """Remembers that a snapshot was looked at."""
        known = self._state.value(_COMPARED, {})
        self._state.set_value(_COMPARED, {**known, _group(snapshot): snapshot.id})

    def answer(self, name: str, answer: Answer) -> Alarm:
        """Notes what a person says to the alarm whose id begins so. Raises `NoSuchAlarm`."""
        found = [one for one in self.all() if name and one.id.startswith(name)]
        if len(found) != 1:
            raise NoSuchAlarm(
                T("There is no alarm {name}.", name=name), todo=T("“kurabako alarm” lists the alarms with their IDs.")
            )
        answered = Alarm(**{**_fields(found[0]), "answer": answer})
        self._save([answered if one.id == answered.id else one for one in self.all()])
        return answered

    def held(self, snapshots: Iterable[Snapshot]) -> Mapping[str, Reason]:
        """The snapshots that stay because of an alarm, by id."""
        known = tuple(snapshots)
        return {
            snapshot.id: Reason("alarm", T("held by the alarm {alarm}", alarm=alarm.id))
            for alarm in self.all()
            for snapshot in alarm.held(known)
        }

    def require_free(self, snapshots: Iterable[Snapshot]) -> None:
        """Raises `HeldByAlarm` when any of the snapshots is held."""
        for name, reason in self.held(snapshots).items():
            raise HeldByAlarm(
                T("Snapshot {snapshot} is not forgotten: it is {why}.", snapshot=name[:8], why=reason.text),
                safe=T("No snapshot was deleted."),
                todo=T("Look at the source's files first. If all is well: kurabako alarm answer ID harmless"),
            )

    def _save(self, alarms: list[Alarm]) -> None:
        done = [one.id for one in alarms if one.answer is Answer.HARMLESS]
        going = set(done[: max(0, len(alarms) - KEPT)])
        self._state.set_value(_KEY, [_to_json(one) for one in alarms if one.id not in going])


def look_for_alarm(box: Box, repository: Repository, source: str, report: BackupReport) -> Alarm | None:
    """The alarm that the snapshot of `report` raises, if any; it is remembered and kept as evidence.

    Compared with the last snapshot of the same source that was looked at, so that none slips by when the power is cut
    before its alarm is remembered. A source that went away in the middle is not looked at. That it cannot be told
    fails no backup.
    """
    snapshot = report.snapshot
    if snapshot is None or report.lost:
        return None
    alarms = Alarms(box.state)
    before = _before(repository, snapshot, alarms.compared)
    alarm = None if before is None else _compared(box, repository, source, before, snapshot)
    if alarm is not None and before is not None:
        alarms.add(alarm)
        figures = {**asdict(alarm.change), "suspicions": [one.value for one in alarm.suspicions]}
        box.agreement.record("alarm", {"alarm": alarm.id, "snapshot": snapshot.id, "before": before.id, **figures})
    alarms.note_compared(snapshot)
    return alarm


def _before(repository: Repository, snapshot: Snapshot, compared: Collection[str]) -> Snapshot | None:
    """The snapshot to compare this one with; where none is known to have been looked at, the one before it."""
    earlier = [
        each for each in repository.snapshots() if _group(each) == _group(snapshot) and each.time_ns < snapshot.time_ns
    ]
    return next((each for each in reversed(earlier) if each.id in compared), earlier[-1] if earlier else None)


def _compared(box: Box, repository: Repository, source: str, before: Snapshot, snapshot: Snapshot) -> Alarm | None:
    settings = box.settings.alarm
    if not settings.enabled or before.summary is None:
        return None
    try:
        change = measure_change(repository, before.tree_id, snapshot.tree_id)
    except KurabakoError as error:
        logger.warning("what changed since snapshot %s cannot be told: %s", before.short_id, error)
        return None
    change += Change(files=before.summary.total_files_processed)
    unusual = Unusual(settings.least_files, settings.scrambled, settings.renamed, settings.vanished)
    suspicions = unusual.in_change(change)
    if not suspicions:
        return None
    paths = tuple(sorted(snapshot.paths))
    return Alarm(snapshot.short_id, source, snapshot.hostname, paths, snapshot.moment, change, suspicions)


def _group(snapshot: Snapshot) -> str:
    return "\n".join((snapshot.hostname, *sorted(snapshot.paths)))


def answer_alarm(box: Box, name: str, answer: Answer) -> Alarm:
    """Notes a person's answer, and keeps it as evidence."""
    alarm = Alarms(box.state).answer(name, answer)
    box.agreement.record("alarm.answered", {"alarm": alarm.id, "answer": answer.value})
    return alarm


def alarm_problems(state: State) -> Iterator[Problem]:
    """The alarms that nobody has answered."""
    for alarm in Alarms(state).open():
        yield Problem(
            "alarm.change",
            Severity.ATTENTION,
            alarm.what,
            alarm.at,
            subject=alarm.id,
            safe=T("Earlier snapshots are held: none of them is forgotten before a person has answered."),
            todo=T(
                "Look at the files. If all is well: kurabako alarm answer {id} harmless. If not: cut the computers "
                "that use them off the network, type kurabako alarm answer {id} attack, and restore from an earlier "
                "snapshot.",
                id=alarm.id,
            ),
        )


def _fields(alarm: Alarm) -> dict[str, Any]:
    return {name: getattr(alarm, name) for name in alarm.__dataclass_fields__}


def _to_json(alarm: Alarm) -> dict[str, Any]:
    return {**asdict(alarm), "at": alarm.at.isoformat()}


def _from_json(note: Mapping[str, Any]) -> Alarm:
    return Alarm(
        id=note["id"],
        source=note["source"],
        hostname=note["hostname"],
        paths=tuple(note["paths"]),
        at=datetime.fromisoformat(note["at"]),
        change=Change(**note["change"]),
        suspicions=tuple(Suspicion(one) for one in note["suspicions"]),
        answer=Answer(note["answer"]) if note["answer"] else None,
    )
