"""How much of the contracted capacity is used: as last counted, or counted now."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from appliance.box import Box
from appliance.daemon.memory import Memory
from appliance.state import UsageRecord


@dataclass(frozen=True)
class CapacityNow:
    """Bytes stored in the cloud at `measured_at`. Without a capacity in the contract, it and `left_bytes` are None."""

    capacity_bytes: int | None
    reserve_bytes: int
    used_bytes: int
    left_bytes: int | None
    objects: int
    measured_at: datetime
    waiting_snapshots: int
    needed_bytes: int | None
    contract: str
    """The contract whose signed entitlement says the capacity; empty where the settings do."""


def current_capacity(box: Box, *, measure: bool = False) -> CapacityNow:
    """The last count, or, when there is none or with `measure`, a new one by listing the cloud.

    Raises `NotSetUp` without a cloud, `StorageError`, and what keeps an entitlement from being verified.
    """
    contract = box.contract
    if contract.refusal is not None:
        raise contract.refusal
    usage = None if measure else next(iter(box.state.usages()), None)
    if usage is None:
        with closing(box.gated_cloud()) as cloud:
            counted = cloud.ledger.usage
        usage = UsageRecord(box.clock(), counted.used, counted.objects, contract.capacity)
        box.state.add_usage(usage)
    waiting, needed = Memory(box.state).waiting()
    capacity, reserve = contract.capacity, contract.reserve
    return CapacityNow(
        capacity_bytes=capacity,
        reserve_bytes=reserve,
        used_bytes=usage.used_bytes,
        left_bytes=None if capacity is None else max(0, capacity - reserve - usage.used_bytes),
        objects=usage.objects,
        measured_at=usage.at,
        waiting_snapshots=waiting,
        needed_bytes=needed,
        contract=contract.entitlement.contract_id if contract.entitlement else "",
    )
