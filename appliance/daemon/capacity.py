"""How much of the contracted capacity is used: as last counted, or counted now; and how long it lasts at this pace."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.agreement import Contract
from appliance.box import Box
from appliance.capacity.forecast import Counted, foretell
from appliance.contract.capacity import Figures, Upgrade, apply_by, counted, proposal
from appliance.contract.civil import civil_day
from appliance.contract.profile import Meter
from appliance.state import TrafficRecord, UsageRecord
from appliance.status.codec import encode
from appliance.status.model import CapacityStatus

_HISTORY = 400
"""Counts that a forecast looks at: several a day for its ninety days."""


@dataclass(frozen=True)
class CapacityNow:
    """What was counted last, the capacity it is under (None: the contract has none), and what more would cost."""

    usage: UsageRecord
    status: CapacityStatus | None
    upgrade: Upgrade | None
    traffic: tuple[TrafficRecord, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Flat, as `kurabako capacity --json` tells it; sizes in bytes."""
        status = self.status or CapacityStatus(0, self.usage.used_bytes, 0, self.usage.at, meter=Meter.NONE.value)
        capacity = None if self.status is None else status.capacity_bytes
        return {
            **encode(status),
            "capacity_bytes": capacity,
            "left_bytes": None if capacity is None else status.left_bytes,
            "stored_bytes": self.usage.used_bytes,
            "unlisted_bytes": self.usage.unlisted_bytes,
            "collected_bytes": self.usage.collected_bytes,
            "objects": self.usage.objects,
            "upgrade": self.upgrade._asdict() if self.upgrade is not None else None,
            "traffic": [vars(one) for one in self.traffic],
        }


def current_capacity(box: Box, *, measure: bool = False) -> CapacityNow:
    """The last count, or, when there is none or with `measure`, a new one by listing the cloud.

    Raises `NotSetUp` without a cloud, `StorageError`, and what keeps an entitlement from being verified.
    """
    contract = box.contract
    if contract.refusal is not None:
        raise contract.refusal
    metering = box.agreement.metering
    if measure or metering.usage is None:
        metering.note_usage(_count(box, contract), contract.profile, contract.capacity)
    status = capacity_status(box, box.contract)
    usage = metering.usage
    assert usage is not None
    more = None
    if status is not None and (status.left_bytes == 0 or status.waiting_snapshots):
        more = proposal(contract.profile, max(status.used_bytes, status.capacity_bytes) + (status.needed_bytes or 1))
    return CapacityNow(usage, status, more, metering.traffic)


def capacity_status(box: Box, contract: Contract) -> CapacityStatus | None:
    """The capacity for the Status; None where the contract has none, or cannot be verified."""
    if not box.has_cloud or contract.capacity is None or contract.refusal is not None:
        return None
    now, metering = box.clock(), box.agreement.metering
    usage, provider, (waiting, needed) = metering.usage, metering.provider, metering.waiting
    today = civil_day(now)
    history = [Counted(civil_day(one.at), _used(contract, one)) for one in box.state.usages(limit=_HISTORY)]
    forecast = foretell(history, contract.capacity - contract.reserve, today)
    return CapacityStatus(
        capacity_bytes=contract.capacity,
        used_bytes=counted(contract.profile, metering.figures(now)) or 0,
        reserve_bytes=contract.reserve,
        measured_at=usage.at if usage else None,
        waiting_snapshots=waiting,
        needed_bytes=needed,
        contract=contract.entitlement.contract_id if contract.entitlement else "",
        meter=contract.profile.meter.value,
        holds=contract.profile.holds,
        stored_bytes=usage.used_bytes if usage else None,
        provider_bytes=provider.stored if provider else None,
        provider_at=provider.at if provider else None,
        provider_more_bytes=provider.stored - provider.own if provider else None,
        full_on=forecast.full_on,
        apply_by=apply_by(contract.terms, contract.entitlement, forecast.full_on) if forecast.full_on else None,
        forecast=forecast.unknown.value if forecast.unknown else "",
    )


def note_provider(box: Box, stored: int, at: datetime) -> None:
    """Takes down what the provider says is stored. Raises `StateError`."""
    contract = box.contract
    figure = box.agreement.metering.note_provider(stored, at, contract.profile, contract.capacity)
    box.agreement.record(
        "usage.provider", {"at": figure.at.isoformat(), "stored_bytes": figure.stored, "own_bytes": figure.own}
    )


def _used(contract: Contract, usage: UsageRecord) -> int:
    figures = Figures(usage.at, usage.used_bytes, usage.collected_bytes)
    return counted(contract.profile, figures) or 0


def _count(box: Box, contract: Contract) -> UsageRecord:
    from appliance.daemon.work.common import usage_of

    with closing(box.gated_cloud()) as cloud:
        repository = box.open_home() if contract.profile.meter is Meter.COLLECTED else None
        counted_now = usage_of(box, cloud, repository)
    return UsageRecord(
        box.clock(),
        counted_now["used_bytes"],
        counted_now["objects"],
        contract.capacity,
        counted_now["collected_bytes"],
        counted_now["unlisted_bytes"],
    )
