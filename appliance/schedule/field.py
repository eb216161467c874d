"""A planned time as pydantic checks it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from appliance.schedule.limits import parse_window
from appliance.schedule.rule import ScheduleError, parse_rule
from appliance.text import T


def _planned(value: object) -> str:
    if isinstance(value, str):
        try:
            parse_rule(value)
        except ScheduleError:
            pass
        else:
            return value
    raise ValueError(
        T("write a time such as 02:00, mon-fri 02:00, or the five fields of cron such as 30 2 * * sat,sun")
    )


PlannedTime = Annotated[str, BeforeValidator(_planned)]
"""What `appliance.schedule` understands: `02:00`, `mon-fri 02:00`, `30 2 * * sat,sun`."""


def _window(value: object) -> str:
    if isinstance(value, str):
        try:
            parse_window(value)
        except ScheduleError:
            pass
        else:
            return value
    raise ValueError(T("write a window of the week and a rate, such as mon-fri 08:00-18:00 1 MB or 22:00-06:00 500 kB"))


RateWindow = Annotated[str, BeforeValidator(_window)]
"""A window of the week with bytes a second: `mon-fri 08:00-18:00 1 MB`."""
