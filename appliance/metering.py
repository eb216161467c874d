"""What was counted under the contract, kept in the box's memory: usage, the provider's figure, what waits for room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from appliance.contract.capacity import Figures, findings
from appliance.contract.civil import civil_day
from appliance.contract.profile import ServiceProfile
from appliance.state import State, TrafficRecord, UsageRecord

_WAITING = "capacity.waiting"
_PROVIDER = "capacity.provider"
_HELD = "capacity.held"
_SINCE = "capacity.since"


@dataclass(frozen=True)
class ProviderFigure:
    """What the provider says is stored, in bytes, as of `at`; `own` is what the box had counted then."""

    at: datetime
    stored: int
    own: int

    @property
    def unseen(self) -> int:
        """The bytes that only the provider counts: they take up room, whatever they are."""
        return max(0, self.stored - self.own)


def bucket_of(cloud: str) -> str:
    """The bucket in a cloud's address; the whole address where it names none."""
    if not cloud.startswith("s3:"):
        return cloud
    return urlsplit(cloud.partition(":")[2]).path.strip("/").partition("/")[0]


class Metering:
    """The figures of one box, whose cloud is at the address `cloud`. Raises `StateError`."""

    def __init__(self, state: Callable[[], State], cloud: str = "") -> None:
        self._state = state
        self._bucket = bucket_of(cloud)

    def note_usage(self, usage: UsageRecord, profile: ServiceProfile, capacity: int | None) -> None:
        """Remembers what was counted, and since when the capacity stands as it does."""
        self._state().add_usage(usage)
        self._note_since(profile, capacity, usage.at)

    def note_waiting(self, count: int, needed: int | None) -> None:
        """Remembers how many snapshots did not fit, and how many bytes the oldest of them needs."""
        self._state().set_value(_WAITING, {"count": count, "needed_bytes": needed})

    def note_provider(self, stored: int, at: datetime, profile: ServiceProfile, capacity: int | None) -> ProviderFigure:
        """Remembers the provider's figure; one above the capacity begins a hold."""
        figure = ProviderFigure(at, stored, self.usage.used_bytes if self.usage is not None else stored)
        self._state().set_value(_PROVIDER, {"at": at.isoformat(), "stored": stored, "own": figure.own})
        if capacity is not None and stored > capacity:
            self._state().set_value(_HELD, {"capacity": capacity})
        self._note_since(profile, capacity, at)
        return figure

    def note_traffic(self, at: datetime, sent: int, received: int) -> None:
        """Adds to the month's traffic (データ流量) with the bucket; months are Japan's."""
        self._state().add_traffic(f"{civil_day(at):%Y-%m}", self._bucket, sent, received)

    @property
    def traffic(self) -> tuple[TrafficRecord, ...]:
        """The traffic of each month and bucket, the newest first."""
        return self._state().traffic()

    @property
    def usage(self) -> UsageRecord | None:
        """The newest count."""
        return next(iter(self._state().usages()), None)

    @property
    def waiting(self) -> tuple[int, int | None]:
        """How many snapshots wait for room in the cloud, and how many bytes the oldest of them needs."""
        waiting = self._value(_WAITING)
        return (waiting["count"], waiting["needed_bytes"]) if waiting else (0, None)

    @property
    def provider(self) -> ProviderFigure | None:
        """The provider's newest figure."""
        known = self._value(_PROVIDER)
        return ProviderFigure(datetime.fromisoformat(known["at"]), known["stored"], known["own"]) if known else None

    def figures(self, now: datetime) -> Figures:
        """Everything that was counted; `at` is since when the capacity stands as it does."""
        usage, provider, (waiting, needed) = self.usage, self.provider, self.waiting
        since, held = self._value(_SINCE), self._value(_HELD)
        return Figures(
            at=datetime.fromisoformat(since["since"]) if since else now,
            stored=usage.used_bytes if usage else None,
            collected=usage.collected_bytes if usage else None,
            provider=provider.stored if provider else None,
            unseen=provider.unseen if provider else 0,
            waiting=waiting,
            needed=needed,
            held_at=held["capacity"] if held else None,
        )

    def _note_since(self, profile: ServiceProfile, capacity: int | None, at: datetime) -> None:
        found = findings(profile, capacity, self.figures(at))
        state = found[0].state.value if found else None
        known = self._value(_SINCE)
        if not known or known["state"] != state:
            self._state().set_value(_SINCE, {"state": state, "since": at.isoformat()})

    def _value(self, key: str) -> Mapping[str, Any]:
        known: Mapping[str, Any] | None = self._state().value(key)
        return known or {}
