"""When the provider's telephone is answered (contracts 5.2, 別紙A 4). Pure; hours are Japan's."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta

from appliance.contract.business import BusinessDays
from appliance.contract.civil import JAPAN
from appliance.contract.conduct import Support
from appliance.text import T, Text

_WEEKDAYS = (T("Monday"), T("Tuesday"), T("Wednesday"), T("Thursday"), T("Friday"), T("Saturday"), T("Sunday"))


def answered_from(support: Support, moment: datetime, closed: Collection[date] = ()) -> datetime:
    """`moment`, if somebody answers then; else the next moment at which somebody does. `closed`: own holidays."""
    local = moment.astimezone(JAPAN)
    days = BusinessDays(support.calendar, closed)
    if days.is_open(local.date()) and support.opens <= local.time() < support.closes:
        return moment
    day = local.date() if local.time() < support.opens else local.date() + timedelta(days=1)
    return datetime.combine(days.on_or_after(day), support.opens, JAPAN)


def telephone(support: Support, now: datetime, closed: Collection[date] = ()) -> Text:
    """Whether the provider's telephone is answered now, as a sentence."""
    opens = answered_from(support, now, closed)
    if opens == now:
        return T(
            "Its telephone is answered until {time} ({clause}).", time=f"{support.closes:%H:%M}", clause=support.clause
        )
    return T(
        "Its telephone is closed until {weekday}, {moment} ({clause}).",
        weekday=_WEEKDAYS[opens.weekday()],
        moment=f"{opens:%Y-%m-%d %H:%M}",
        clause=support.clause,
    )
