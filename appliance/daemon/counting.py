"""What a job on the cloud counted goes into the box's memory, for the Status, the forecast and the contract's state."""

from __future__ import annotations

from datetime import datetime

from appliance.agreement import Agreement
from appliance.daemon.jobs import JobReport
from appliance.state import UsageRecord


def count(agreement: Agreement, report: JobReport, at: datetime) -> None:
    """Notes what is used and what waits for room, where the job counted it. Raises `StateError`."""
    details = report.details
    if "capacity" not in details:
        return
    counted = details["capacity"]
    metering, contract = agreement.metering, agreement.contract
    first = details["refused"][0]["needed_bytes"] if details["refused"] else None
    metering.note_waiting(details["refused_count"], first)
    usage = UsageRecord(
        at,
        counted["used_bytes"],
        counted["objects"],
        counted["capacity_bytes"],
        counted["collected_bytes"],
        counted["unlisted_bytes"],
    )
    metering.note_usage(usage, contract.profile, contract.capacity)
