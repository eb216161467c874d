"""The contracted capacity (契約容量): what is stored, to the byte, and the gate that keeps it under the limit.

`policy` decides from values alone, `Ledger` keeps the values, `GatedStorage` asks before it sends.
"""

from appliance.capacity.gate import GatedStorage, GatedTries
from appliance.capacity.ledger import Ledger, Usage
from appliance.capacity.level import Level, collected_bytes, crossed, level_of
from appliance.capacity.policy import CapacityExceeded, Decision, Limits, Purpose, decide, purpose_of
from appliance.capacity.rehearsal import RehearsalStorage

__all__ = [
    "CapacityExceeded",
    "Decision",
    "GatedStorage",
    "GatedTries",
    "Ledger",
    "Level",
    "Limits",
    "Purpose",
    "RehearsalStorage",
    "Usage",
    "collected_bytes",
    "crossed",
    "decide",
    "level_of",
    "purpose_of",
]
