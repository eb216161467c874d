"""The rules of `kurabako repo forget`, `prune` and `make-room`, as they are said on the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from appliance.text import T
from appliance.units import parse_size
from appliance.upkeep import Duration, GroupBy, Period, Policy, PruneLimits, parse_max_unused
from appliance.upkeep.retention import UNLIMITED

_Value = TypeVar("_Value")

DryRunOption = Annotated[
    bool, typer.Option("--dry-run", "-n", help=T("Delete nothing, only say what would go.").message)
]
MaxUnusedOption = Annotated[
    str,
    typer.Option("--max-unused", metavar="WASTE", help=T("Waste that may stay: 5%, 2 GB, unlimited.").message),
]
MaxRepackOption = Annotated[
    str,
    typer.Option(
        "--max-repack-size",
        metavar="BYTES",
        help=T("Pack anew at most this much, which bounds traffic and scratch; 0 deletes whole packs only.").message,
    ),
]


def _counts(period: Period) -> Any:
    return typer.Option(f"--keep-{period}", metavar="N", help=T("Keep so many; unlimited keeps all.").message)


def _durations(name: str) -> Any:
    return typer.Option(
        name, metavar="DURATION", help=T("Keep within this time before the newest: 1y6m14d12h.").message
    )


_PERIODS = tuple(Period)[1:]
_RULES: Mapping[str, Any] = {
    **{f"keep_{period}": Annotated[str, _counts(period)] for period in Period},
    "keep_within": Annotated[str, _durations("--keep-within")],
    **{f"keep_within_{period}": Annotated[str, _durations(f"--keep-within-{period}")] for period in _PERIODS},
    "keep_tag": Annotated[
        list[str], typer.Option("--keep-tag", help=T("Keep what has all of these tags (a,b); repeatable.").message)
    ],
    "group_by": Annotated[
        str,
        typer.Option("--group-by", "-g", help=T("Apply the rules to each group: host, paths, tags, or empty.").message),
    ],
    "timezone": Annotated[
        str,
        typer.Option(
            "--timezone",
            help=T("Where days begin, such as Asia/Tokyo; by default as each snapshot's time is written.").message,
        ),
    ],
}
"""The options that say rules, by the names of parameters."""


@dataclass(frozen=True)
class Rules:
    """What the options say: what is kept, of which groups, and where days begin (None: as each snapshot says)."""

    policy: Policy
    by: tuple[GroupBy, ...]
    zone: ZoneInfo | None


def with_rules(**defaults: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command that has a parameter `rules: Rules` the options that say them, with these defaults."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**given: Any) -> None:
            said = {name: given.pop(name) for name in _RULES}
            command(**given, rules=_rules_of(said))

        signature = inspect.signature(command, eval_str=True)
        parameters = [each for name, each in signature.parameters.items() if name != "rules"]
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_default(name, defaults), annotation=option)
            for name, option in _RULES.items()
        ]
        keyword_only = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
        run.__signature__ = signature.replace(parameters=keyword_only)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in keyword_only}
        return run

    return decorate


def _default(name: str, defaults: Mapping[str, str]) -> str | list[str]:
    if name == "keep_tag":
        return []
    return "host,paths" if name == "group_by" else defaults.get(name, "")


def _rules_of(said: Mapping[str, Any]) -> Rules:
    counts = {period: said[f"keep_{period}"] for period in Period}
    within = {period: said[f"keep_within_{period}"] for period in _PERIODS}
    policy = Policy(
        {period: parsed(_count, text, f"--keep-{period}") for period, text in counts.items() if text},
        _duration(said["keep_within"], "--keep-within"),
        {period: _duration(text, f"--keep-within-{period}") for period, text in within.items() if text},
        tuple(tuple(names.split(",")) for names in said["keep_tag"]),
    )
    return Rules(policy, groups_of(said["group_by"]), zone_of(said["timezone"]))


def _duration(text: str, option: str) -> Duration:
    return parsed(Duration.parse, text, option) if text else Duration()


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
        parsed(parse_max_unused, max_unused, "--max-unused"),
        parsed(parse_size, max_repack_size, "--max-repack-size") if max_repack_size else None,
    )


def parsed(parse: Callable[[str], _Value], text: str, name: str) -> _Value:
    """What `parse` makes of the value of the option or argument `name`; what it refuses is a usage error."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=name) from None
