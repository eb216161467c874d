"""Whether the box's clock can be believed: it must not be unset, nor earlier than it was before.

A clock that is not trusted locks, unlocks and erases nothing; it is shown until it is right again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from appliance.errors import KurabakoError
from appliance.text import T

UNSET_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
"""No box ran before this: an earlier moment is that of a clock nobody has set."""

SETBACK = timedelta(minutes=5)
"""How far a clock may go back when it is corrected."""


class ClockUntrusted(KurabakoError):
    """The clock shows an impossible moment."""

    code = "contract.clock"


def is_trusted(now: datetime, last: datetime | None) -> bool:
    """Whether `now` can be the present, given the last moment that was believed."""
    return now >= UNSET_BEFORE and (last is None or now >= last - SETBACK)


def untrusted(now: datetime, last: datetime | None) -> ClockUntrusted:
    """What to tell a person about a clock that is not trusted."""
    shown = f"{now.astimezone(UTC):%Y-%m-%d %H:%M UTC}"
    what = (
        T("The box's clock is not set: it shows {now}.", now=shown)
        if last is None or now < UNSET_BEFORE
        else T(
            "The box's clock shows {now}, but it has already been {last}.",
            now=shown,
            last=f"{last.astimezone(UTC):%Y-%m-%d %H:%M UTC}",
        )
    )
    return ClockUntrusted(
        what,
        safe=T("Backups go on; nothing about the contract is changed as long as the clock is wrong."),
        todo=T("Set the clock, best from a time server. If it was ahead before, ask your service provider."),
    )
