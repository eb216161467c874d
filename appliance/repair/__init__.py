"""Repair: what is missing or damaged in a repository is found, named, and replaced from whatever still has it.

Plan → execute. The bytes come from another copy of the repository (the vault for the cloud, the cloud for the vault),
from what of a damaged pack can still be read, and from other packs. Nothing is deleted that is not replaced first. What
no place has is named with the paths of each snapshot that lost it; those snapshots stay, and the index forgets the
lost blobs, so that the next backup stores them again where the source still has them.
"""

from appliance.repair.execute import execute_repair
from appliance.repair.model import CannotOpen, Damage, Incomplete, NotACopy, Remedy, RepairPlan, RepairReport
from appliance.repair.opening import Patient, clear_damaged_locks, find_damaged_locks, open_damaged
from appliance.repair.plan import plan_repair
from appliance.repair.words import document_of, line_of, losses_of, summary_of

__all__ = [
    "CannotOpen",
    "Damage",
    "Incomplete",
    "NotACopy",
    "Patient",
    "Remedy",
    "RepairPlan",
    "RepairReport",
    "clear_damaged_locks",
    "document_of",
    "execute_repair",
    "find_damaged_locks",
    "line_of",
    "losses_of",
    "open_damaged",
    "plan_repair",
    "summary_of",
]
