"""Restoring: a snapshot becomes files again. `plan_restore`, then `execute_restore`."""

from appliance.restore.execute import RestoreReport, RestoreStopped, TargetUnusable, execute_restore
from appliance.restore.plan import Failure, NotEnoughSpace, PathNotInSnapshot, RestorePlan, plan_restore

__all__ = [
    "Failure",
    "NotEnoughSpace",
    "PathNotInSnapshot",
    "RestorePlan",
    "RestoreReport",
    "RestoreStopped",
    "TargetUnusable",
    "execute_restore",
    "plan_restore",
]
