"""The rules of `kurabako repo forget`, `prune` and `make-room`, as they are said on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from appliance.text import T
from appliance.units import parse_size
from appliance.upkeep import Duration, GroupBy, Period, Policy, PruneLimits
from appliance.upkeep.retention import UNLIMITED

_Value = TypeVar("_Value")
_PERCENTAGE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")

DryRunOption = Annotated[
    bool, typer.Option("--dry-run", "-n", help=T("Delete nothing, only say what would go.").message)
]
MaxUnusedOption = Annotated[
    str,
    typer.Option("--max-unused", metavar="PERCENT", help=T("Waste that may stay: 5%, 0%, unlimited.").message),
]
MaxRepackOption = Annotated[
    str,
    typer.Option(
        "--max-repack-size",
        metavar="BYTES",
        help=T("Pack anew at most this much, which bounds traffic and scratch; 0 deletes whole packs only.").message,
    ),
]
GroupByOption = Annotated[
    str,
    typer.Option("--group-by", "-g", help=T("Apply the rules to each group: host, paths, tags, or empty.").message),
]
TimezoneOption = Annotated[
    str,
    typer.Option(
        "--timezone",
        help=T("Where days begin, such as Asia/Tokyo; by default as each snapshot's time is written.").message,
    ),
]
KeepTagOption = Annotated[
    list[str], typer.Option("--keep-tag", help=T("Keep what has all of these tags (a,b); repeatable.").message)
]


def _counts(period: str) -> Any:
    return typer.Option(
        f"--keep-{period}",
        metavar="N",
        help=T("Keep so many; unlimited keeps all.").message,
    )


def _durations(name: str) -> Any:
    return typer.Option(
        name, metavar="DURATION", help=T("Keep within this time before the newest: 1y6m14d12h.").message
    )


KeepLast = Annotated[str, _counts("last")]
KeepHourly = Annotated[str, _counts("hourly")]
KeepDaily = Annotated[str, _counts("daily")]
KeepWeekly = Annotated[str, _counts("weekly")]
KeepMonthly = Annotated[str, _counts("monthly")]
KeepYearly = Annotated[str, _counts("yearly")]
KeepWithin = Annotated[str, _durations("--keep-within")]
KeepWithinHourly = Annotated[str, _durations("--keep-within-hourly")]
KeepWithinDaily = Annotated[str, _durations("--keep-within-daily")]
KeepWithinWeekly = Annotated[str, _durations("--keep-within-weekly")]
KeepWithinMonthly = Annotated[str, _durations("--keep-within-monthly")]
KeepWithinYearly = Annotated[str, _durations("--keep-within-yearly")]


def policy_of(counts: Sequence[str], within: str, within_periods: Sequence[str], tags: Sequence[str]) -> Policy:
    """The policy of the `--keep-…` options; `counts` from last to yearly, `within_periods` from hourly to yearly."""
    periods = list(Period)
    return Policy(
        {
            period: parsed(_count, text, f"--keep-{period}")
            for period, text in zip(periods, counts, strict=True)
            if text
        },
        parsed(Duration.parse, within, "--keep-within") if within else Duration(),
        {
            period: parsed(Duration.parse, text, f"--keep-within-{period}")
            for period, text in zip(periods[1:], within_periods, strict=False)
            if text
        },
        tuple(tuple(names.split(",")) for names in tags),
    )


def _count(text: str) -> int:
    if text in ("unlimited", "-1"):
        return UNLIMITED
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a number of snapshots")
    return int(text)


def groups_of(text: str) -> tuple[GroupBy, ...]:
    """What `--group-by` says."""
    return parsed(lambda names: tuple(GroupBy(name) for name in names.split(",") if name), text, "--group-by")


def zone_of(name: str) -> ZoneInfo | None:
    """What `--timezone` says; None where it says nothing."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(f"{name!r} is not a time zone", param_hint="--timezone") from None


def limits_of(max_unused: str, max_repack_size: str) -> PruneLimits:
    """What `--max-unused` and `--max-repack-size` say."""
    return PruneLimits(
        parsed(_part, max_unused, "--max-unused"),
        parsed(parse_size, max_repack_size, "--max-repack-size") if max_repack_size else None,
    )


def _part(text: str) -> Fraction:
    if text == "unlimited":
        return Fraction(1)
    match = _PERCENTAGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a percentage; write for example 5% or unlimited")
    part = Fraction(match[1]) / 100
    if part > 1:
        raise ValueError(f"{text!r} is more than 100%")
    return part


def parsed(parse: Callable[[str], _Value], text: str, name: str) -> _Value:
    """What `parse` makes of the value of the option or argument `name`; what it refuses is a usage error."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=name) from None
