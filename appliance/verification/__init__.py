"""Verification that proves restorability (復元検証): what is stored is read back, bit by bit, for ever.

Each run reads a portion of the packs, so that every byte comes round within a set time and never more than the allowed
traffic a day; restores a few files for trial and compares them with the source or the record; and signs a report of
what was checked and what was not.
"""

from appliance.verification.execute import damages_of, list_inventory, read_back, take_inventory
from appliance.verification.model import Age, Compared, Damage, Portion, Rules, SampledFile
from appliance.verification.near import NearStorage
from appliance.verification.plan import age_of, plan_portion
from appliance.verification.report import Report, ReportRefused
from appliance.verification.reports import ReportNotFound, Reports
from appliance.verification.sample import Candidate, Original, choose_files, restore_for_trial

__all__ = [
    "Age",
    "Candidate",
    "Compared",
    "Damage",
    "NearStorage",
    "Original",
    "Portion",
    "Report",
    "ReportNotFound",
    "ReportRefused",
    "Reports",
    "Rules",
    "SampledFile",
    "age_of",
    "choose_files",
    "damages_of",
    "list_inventory",
    "plan_portion",
    "read_back",
    "restore_for_trial",
    "take_inventory",
]
