"""The end of a contract: when people are reminded, and whether what the provider gave may be erased now.

Nothing is erased on a guess: only after the end, by a clock that is trusted, and when the end is certain, which the
provider's own termination makes it, and otherwise its written confirmation. Until then: wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from appliance.contract.box_state import BoxState, Standing, last_day_before
from appliance.contract.directive import EndOfService, Recorded, Termination
from appliance.contract.terms import Terms

DEFAULT_REMINDERS = (60, 30, 7, 1)


class Erased(StrEnum):
    """What of the provider's is erased from the box."""

    CREDENTIALS = "credentials"
    """The keys to the cloud."""
    SOFTWARE = "software"
    """The provider's software, documents, hosts entries and addresses, as the settings name them."""


class Wait(StrEnum):
    """Why nothing is erased yet."""

    NOT_ENDED = "not-ended"
    CLOCK = "clock"
    CONFIRMATION = "confirmation"


@dataclass(frozen=True)
class EndPlan:
    """What to erase now and under which clause; or why to wait."""

    erase: tuple[Erased, ...]
    clause: str
    wait: Wait | None = None
    directive: int | None = None


def plan_end(terms: Terms, standing: Standing, directives: Iterable[Recorded]) -> EndPlan:
    """What the end of the contract asks the box to erase now; nothing as long as anything about it is open."""
    clause = terms.end.clause if terms.end is not None else "–"
    ended = [one for one in standing.conditions if one.state is BoxState.ENDED]
    if not ended:
        return EndPlan((), clause, Wait.NOT_ENDED)
    if not standing.clock_trusted:
        return EndPlan((), clause, Wait.CLOCK)
    certain = {one.number for one in directives if _is_certain(one)}
    by = next((one.directive for one in ended if one.directive in certain), None)
    if by is None:
        return EndPlan((), clause, Wait.CONFIRMATION)
    erase = []
    if terms.end is None or terms.end.wipe_credentials:
        erase.append(Erased.CREDENTIALS)
    if terms.end is not None and terms.end.wipe_software:
        erase.append(Erased.SOFTWARE)
    return EndPlan(tuple(erase), clause, None, by)


def _is_certain(recorded: Recorded) -> bool:
    match recorded.directive:
        case Termination(by="provider"):
            return True
        case Termination() | EndOfService() as end:
            return end.confirmed_on is not None
    return False


@dataclass(frozen=True)
class Reminder:
    """That a known end is near: its last day, the days left, and which of the reminders it is, from 1."""

    last_day: date
    days_left: int
    step: int


def reminder(terms: Terms, standing: Standing, today: date) -> Reminder | None:
    """The reminder that is due, if a known end is near enough for one."""
    end = next((one for one in standing.conditions if one.state is BoxState.ENDING), None)
    if end is None or end.until is None:
        return None
    last_day = last_day_before(end.until)
    left = (last_day - today).days
    days = terms.end.remind_days if terms.end is not None else DEFAULT_REMINDERS
    step = sum(left <= day for day in days)
    return Reminder(last_day, left, step) if step else None
