"""Upkeep: what keeps a repository fit for years. Retention, forget, prune, and making room.

Each is plan → execute: a plan is a value that says what would go and what that frees, to the byte. Nothing here
deletes what any snapshot needs; ended at any moment, the repository is whole and the next run completes the work.
"""

from appliance.upkeep.execute import PlanOutdated, PruneReport, execute_prune
from appliance.upkeep.forget import ForgetPlan, execute_forget, plan_forget, plan_forget_named
from appliance.upkeep.make_room import RoomPlan, plan_make_room
from appliance.upkeep.prune import NeededPackGone, PruneLimits, PrunePlan, plan_prune
from appliance.upkeep.retention import Duration, EmptiesGroup, GroupBy, Period, Policy, Retained, retain

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
    "Retained",
    "RoomPlan",
    "execute_forget",
    "execute_prune",
    "plan_forget",
    "plan_forget_named",
    "plan_make_room",
    "plan_prune",
    "retain",
]
