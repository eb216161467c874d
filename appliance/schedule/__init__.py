"""When the box works: planned local times, and which of the planned runs is due now. Pure; the clock is passed in."""

from appliance.schedule.limits import RateSchedule
from appliance.schedule.rule import Rule, ScheduleError, parse_rule
from appliance.schedule.schedule import Schedule
from appliance.schedule.slots import LATE_AFTER, DueSlots, due_slots

__all__ = ["LATE_AFTER", "DueSlots", "RateSchedule", "Rule", "Schedule", "ScheduleError", "due_slots", "parse_rule"]
