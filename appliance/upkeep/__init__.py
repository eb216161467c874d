"""Upkeep: what keeps a repository fit for years. Retention, forget, prune, and making room.

Each is plan → execute: a plan is a value that says what would go and what that frees, to the byte. Nothing here
deletes what any snapshot needs; ended at any moment, the repository is whole and the next run completes the work.
"""

from appliance.upkeep.execute import PlanOutdated, PruneReport, execute_prune
from appliance.upkeep.forget import (
    ForgetPlan,
    SnapshotFilter,
    execute_forget,
    forget_plan,
    hold,
    plan_forget,
    plan_forget_named,
    unique_bytes,
)
from appliance.upkeep.make_room import RoomPlan, plan_make_room
from appliance.upkeep.prune import NeededPackGone, PruneLimits, PrunePlan, parse_max_unused, plan_prune
from appliance.upkeep.retention import Duration, EmptiesGroup, GroupBy, Period, Policy, Reason, Retained, retain

__all__ = [
    "Duration",
    "EmptiesGroup",
    "ForgetPlan",
    "GroupBy",
    "NeededPackGone",
    "Period",
    "PlanOutdated",
    "Policy",
    "PruneLimits",
    "PrunePlan",
    "PruneReport",
    "Reason",
    "Retained",
    "RoomPlan",
    "SnapshotFilter",
    "execute_forget",
    "execute_prune",
    "forget_plan",
    "hold",
    "parse_max_unused",
    "plan_forget",
    "plan_forget_named",
    "plan_make_room",
    "plan_prune",
    "retain",
    "unique_bytes",
]
