"""The box's own memory: what is designated, what was seen, what became of jobs and slots, how much is stored."""

from appliance.state.model import (
    Designation,
    DirectiveRecord,
    PackRecord,
    SeenSource,
    SlotOutcome,
    SlotRecord,
    TrafficRecord,
    UsageRecord,
)
from appliance.state.store import State, StateError

__all__ = [
    "Designation",
    "DirectiveRecord",
    "PackRecord",
    "SeenSource",
    "SlotOutcome",
    "SlotRecord",
    "State",
    "StateError",
    "TrafficRecord",
    "UsageRecord",
]
