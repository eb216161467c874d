"""Which packs are read back today: pure, from what is there, what is remembered, and the clock.

The oldest first, where a pack that was never read counts from when it was first seen. A day's portion is such that all
come round a little before they must, so that a day without a run does no harm; whatever is due goes in any case, as far
as the traffic allows. A memory that was lost begins anew: then everything was first seen now.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from appliance.state import PackRecord
from appliance.verification.model import Age, Portion, Rules

_AHEAD = 0.9
"""The part of the time that is given in which all come round."""

_DAY = timedelta(days=1)


def plan_portion(
    packs: Mapping[bytes, int],
    known: Mapping[bytes, PackRecord],
    rules: Rules,
    now: datetime,
    *,
    spent: int = 0,
    everything: bool = False,
) -> Portion:
    """The portion of `now`: `packs` are there, with their sizes; `known` is what is remembered of them.

    `spent` bytes were read today already. Packs that were found damaged come first. `everything`: all, whatever the
    traffic.
    """
    new = PackRecord(now)

    def urgency(pack: bytes) -> tuple[bool, datetime, bytes]:
        record = known.get(pack, new)
        return not record.damaged, record.since, pack

    total = sum(packs.values())
    days = max(rules.every / _DAY, 1)
    per_day = -int(-total // days)
    limit = rules.traffic_per_day
    left = None if limit is None or everything else max(0, limit - spent)
    wanted = -int(-total // max(1.0, days * _AHEAD)) - spent
    chosen: list[tuple[bytes, int]] = []
    size = overdue = 0
    for pack in sorted(packs, key=urgency):
        record = known.get(pack, new)
        is_due = record.damaged or now + _DAY >= record.since + rules.every
        if not (everything or is_due or size < wanted):
            continue
        if left is not None and size + packs[pack] > left:
            overdue += packs[pack] if now >= record.since + rules.every else 0
            continue
        chosen.append((pack, packs[pack]))
        size += packs[pack]
    keeps_up = limit is None or (per_day <= limit and not overdue)
    return Portion(tuple(chosen), total, per_day, keeps_up, overdue)


def age_of(packs: Mapping[bytes, int], known: Mapping[bytes, PackRecord], rules: Rules, now: datetime) -> Age:
    """How old what is known of the bytes of `packs` is."""
    verified = never = 0
    oldest: datetime | None = None
    for pack, size in packs.items():
        record = known.get(pack, PackRecord(now))
        if record.verified_at is None or record.damaged:
            never += size
        elif now - record.verified_at <= rules.every:
            verified += size
        oldest = record.since if oldest is None else min(oldest, record.since)
    return Age(verified, never, oldest)
