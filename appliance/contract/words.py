"""What the states of a contract and the provider's directives are called, the same everywhere."""

from __future__ import annotations

from appliance.contract.box_state import BoxState
from appliance.contract.directive import DirectiveKind
from appliance.contract.matters import MatterKind
from appliance.text import T

STATES = {
    BoxState.ENDED: T("Ended"),
    BoxState.SUSPENDED_PROVISION: T("Suspended by the provider"),
    BoxState.HOLD_REGION: T("Held: place of use"),
    BoxState.HOLD_CONFIG: T("Held: configuration"),
    BoxState.HOLD_CAPACITY: T("Held: capacity"),
    BoxState.SUSPENDED_OPERATIONAL: T("Service down for works or a fault"),
    BoxState.RESTRICTED_TELECOM8: T("Restricted for important communications"),
    BoxState.OVER_CAPACITY_WARN: T("Over the capacity"),
    BoxState.ENDING: T("Ending"),
    BoxState.CAPACITY_REACHED: T("Capacity reached"),
    BoxState.UNPROVISIONED: T("Not in force yet"),
    BoxState.CONTRACTED_NOT_STARTED: T("Not started yet"),
    BoxState.ACTIVE: T("In force"),
}

DIRECTIVES = {
    DirectiveKind.AMENDMENT: T("Amendment"),
    DirectiveKind.SUSPENSION: T("Suspension"),
    DirectiveKind.RESTRICTION: T("Restriction"),
    DirectiveKind.RESUMPTION: T("Resumption"),
    DirectiveKind.TERMINATION: T("Termination"),
    DirectiveKind.END_OF_SERVICE: T("End of the service"),
    DirectiveKind.TERMS_CHANGE: T("Change of the terms"),
    DirectiveKind.NOTICE: T("Notice"),
    DirectiveKind.PLUGIN_OFF: T("Plugin off"),
}

MATTERS = {
    MatterKind.OUTAGE: T("Outage"),
    MatterKind.FAULT: T("Fault"),
    MatterKind.INTRUSION_RISK: T("Risk of an intrusion"),
    MatterKind.INTRUSION: T("Intrusion"),
    MatterKind.VIRUS: T("Virus"),
    MatterKind.LEAK: T("Leaked key"),
    MatterKind.ENQUIRY: T("Enquiry of the provider"),
    MatterKind.UNPAID: T("Unpaid fee"),
}
