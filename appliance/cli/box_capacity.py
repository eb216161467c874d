"""`kurabako capacity`: what is counted under the contract, how long it lasts, and what the provider counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.box_session import opened_box
from appliance.cli.context import JsonOption, printer
from appliance.errors import ExitCode, KurabakoError
from appliance.status.words import forecast, provider_difference
from appliance.text import T, Text
from appliance.units import format_size, parse_size

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from appliance.daemon.capacity import CapacityNow
    from appliance.status.model import CapacityStatus


class NoSize(KurabakoError):
    """An option is not a size."""

    code = "capacity.no-size"
    exit_code = ExitCode.USAGE


def register(app: typer.Typer) -> None:
    """Adds the command to the root."""
    app.command(help=T("Say how much of the contracted capacity is used, to the byte.").message)(capacity)


def capacity(
    context: typer.Context,
    measure: Annotated[bool, typer.Option("--measure", help=T("Count anew, by listing the cloud.").message)] = False,
    provider: Annotated[
        str,
        typer.Option(metavar="SIZE", help=T("Take down what the provider says is stored, such as 480.5 GB.").message),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Tells the last measurement; without one, or with `--measure`, counts now."""
    from appliance.daemon.capacity import current_capacity, note_provider

    out = printer(context, as_json)
    stored = _size(provider)
    with opened_box(context) as box:
        if stored is not None:
            note_provider(box, stored, box.clock())
        now = current_capacity(box, measure=measure)
        zone = box.zone
    out.document(now.to_json())
    out.say(*_lines(now, zone))


def _size(text: str) -> int | None:
    if not text:
        return None
    try:
        return parse_size(text)
    except ValueError:
        raise NoSize(
            T("{option} {value} is not a size.", option="--provider", value=text),
            safe=T("Nothing was changed."),
            todo=T("write a size such as 500 GB, 1.5 TB or 16 MiB"),
        ) from None


def _lines(now: CapacityNow, zone: ZoneInfo) -> Iterator[Text]:
    usage, status = now.usage, now.status
    moment = usage.at.astimezone(zone).strftime("%Y-%m-%d %H:%M")
    used = {"used": format_size(usage.used_bytes), "bytes": f"{usage.used_bytes:,}", "moment": moment}
    if status is None:
        yield T("{used} ({bytes} bytes) are stored in the cloud; the contract has no capacity.", **used)
    elif status.meter == "collected":
        yield from _collected(status, used)
    else:
        yield from _stored(status, used)
    if usage.unlisted_bytes:
        yield T(
            "{size} of it are in no listing: older versions, and uploads that broke off.",
            size=format_size(usage.unlisted_bytes),
        )
    yield from _traffic(now)
    if status is None:
        return
    if status.provider_bytes is not None and status.provider_at is not None:
        yield T(
            "The provider counted {size} ({bytes} bytes) at {moment}.",
            size=format_size(status.provider_bytes),
            bytes=f"{status.provider_bytes:,}",
            moment=status.provider_at.astimezone(zone).strftime("%Y-%m-%d %H:%M"),
        )
        yield provider_difference(status.provider_more_bytes or 0)
    if status.contract:
        yield T("The provider signed this capacity for contract {contract}.", contract=status.contract)
    else:
        yield T("The settings of this box say this capacity.")
    if status.waiting_snapshots:
        yield T(
            "{count} snapshots wait in the vault for room; the oldest needs {needed}.",
            count=status.waiting_snapshots,
            needed=format_size(status.needed_bytes or 0),
        )
    yield forecast(status)
    yield from _upgrade(now)
    yield T("1 GB = 1,000,000,000 bytes, as in the contract.")


MONTHS_SHOWN = 2


def _traffic(now: CapacityNow) -> Iterator[Text]:
    """What the provider's report has beside what is stored."""
    months = sorted({one.month for one in now.traffic}, reverse=True)[:MONTHS_SHOWN]
    for one in now.traffic:
        if one.month in months:
            yield T(
                "Bucket {bucket}, {month}: {sent} ({sent_bytes} bytes) were sent, {received} ({received_bytes} bytes) "
                "received.",
                bucket=one.bucket,
                month=one.month,
                sent=format_size(one.sent),
                sent_bytes=f"{one.sent:,}",
                received=format_size(one.received),
                received_bytes=f"{one.received:,}",
            )


def _stored(status: CapacityStatus, used: dict[str, str]) -> Iterator[Text]:
    yield T(
        "{used} ({bytes} bytes) of {capacity} are used, as counted at {moment}.",
        capacity=format_size(status.capacity_bytes),
        **used,
    )
    yield T(
        "{left} ({left_bytes} bytes) are left for backups; {reserve} are kept back for upkeep.",
        left=format_size(status.left_bytes),
        left_bytes=f"{status.left_bytes:,}",
        reserve=format_size(status.reserve_bytes),
    )


def _collected(status: CapacityStatus, used: dict[str, str]) -> Iterator[Text]:
    yield T(
        "{collected} ({bytes} bytes) of {capacity} are collected, as counted at {moment}.",
        collected=format_size(status.used_bytes),
        bytes=f"{status.used_bytes:,}",
        capacity=format_size(status.capacity_bytes),
        moment=used["moment"],
    )
    yield T(
        "More than that stops no backup, it only may take longer. {used} are stored in the cloud.",
        used=used["used"],
    )


def _upgrade(now: CapacityNow) -> Iterator[Text]:
    more = now.upgrade
    if more is None:
        return
    offer = {"units": more.units, "capacity": format_size(more.capacity), "clause": more.clause}
    if more.fee is None:
        yield T("{units} units, {capacity}, would do ({clause}).", **offer)
        return
    fee = f"{more.fee:,}"
    yield T("{units} units, {capacity}, would do, at {fee} yen a month without tax ({clause}).", fee=fee, **offer)
