"""Backing up: sources become a snapshot in a repository. `plan_backup`, then `execute_backup`."""

from appliance.backup.execute import execute_backup
from appliance.backup.plan import AUTO, BackupPlan, OverlappingSources, plan_backup
from appliance.backup.report import LOST_TAG, PARTIAL_TAG, BackupReport, Unreadable

__all__ = [
    "AUTO",
    "LOST_TAG",
    "PARTIAL_TAG",
    "BackupPlan",
    "BackupReport",
    "OverlappingSources",
    "Unreadable",
    "execute_backup",
    "plan_backup",
]
