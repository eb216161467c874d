"""How long snapshots are kept, as people write it: `last 3`, `daily 7`, `yearly all`, `within 30d`, `daily within 1y`,
`tag a,b`.

The rules are those of `appliance.upkeep.retention`, which are restic's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from appliance.text import T

if TYPE_CHECKING:
    from appliance.upkeep.retention import Policy

_COUNTED = re.compile(r"(last|hourly|daily|weekly|monthly|yearly) ([0-9]{1,6}|all)")
_TAGS = re.compile(r"tag (\S+)")
_WITHIN = re.compile(r"(?:(hourly|daily|weekly|monthly|yearly) )?within (\S+)")


def parse_keep(rules: Sequence[str]) -> Policy:
    """The rules as one retention policy; without rules it keeps everything. Raises `ValueError` with a `Text`."""
    from appliance.upkeep.retention import UNLIMITED, Duration, Period, Policy  # reading settings stays quick

    counts: dict[Period, int] = {}
    within, within_periods = Duration(), dict[Period, Duration]()
    tags: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for rule in rules:
        words = " ".join(rule.split())
        if counted := _COUNTED.fullmatch(words):
            kind = counted[1]
            counts[Period(kind)] = UNLIMITED if counted[2] == "all" else int(counted[2])
        elif tagged := _TAGS.fullmatch(words):
            kind = words
            tags.append(tuple(tagged[1].split(",")))
        elif found := _WITHIN.fullmatch(words):
            kind = f"{found[1] or ''} within"
            try:
                duration = Duration.parse(found[2])
            except ValueError:
                raise _refused(rule) from None
            if found[1]:
                within_periods[Period(found[1])] = duration
            else:
                within = duration
        else:
            raise _refused(rule)
        if kind in seen:
            raise ValueError(T('"{rule}" stands there a second time; write each rule once', rule=rule))
        seen.add(kind)
    policy = Policy(counts, within, within_periods, tuple(tags))
    if rules and not policy:
        raise ValueError(T("by these rules nothing would be kept; write a rule that keeps some, such as last 1"))
    return policy


def _refused(rule: str) -> ValueError:
    return ValueError(
        T(
            '"{rule}" is no rule; write for example last 3, daily 7, yearly all, within 30d or daily within 1y6m',
            rule=rule,
        )
    )
