"""`kurabako contract install`, `show`: the box's side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.box_session import asked_or, opened_box
from appliance.cli.context import JsonOption, printer
from appliance.errors import ExitCode, KurabakoError
from appliance.text import T, Text
from appliance.units import format_size

if TYPE_CHECKING:
    from appliance.agreement import Contract
    from appliance.contract.entitlement import Entitlement


def register(app: typer.Typer) -> None:
    """Adds the commands to the group."""
    app.command(help=T("Put a signed entitlement in force on this box.").message)(install)
    app.command(help=T("Say what is agreed, and who says so. Exits with 1 when that cannot be verified.").message)(show)


def install(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=T("The signed entitlement; - reads it.").message)],
    as_json: JsonOption = False,
) -> None:
    """What is refused changes nothing."""
    from appliance.cli.contract_issue import read_bounded

    document = read_bounded(file).decode("ascii", "replace")
    with opened_box(context) as box:

        def here() -> dict[str, Any]:
            done = box.agreement.entitlements.install(document)
            return {"contract_id": done.entitlement.contract_id, "serial": done.entitlement.serial, "new": done.new}

        result: dict[str, Any] = asked_or(box, "install_entitlement", {"document": document}, dict, here)
    name = {"contract": result["contract_id"], "serial": result["serial"]}
    printer(context, as_json).result(
        result,
        T("The entitlement of contract {contract} (number {serial}) is in force.", **name)
        if result["new"]
        else T("The entitlement of contract {contract} (number {serial}) was in force already.", **name),
    )


def show(context: typer.Context, as_json: JsonOption = False) -> None:
    """Looks at the box's own memory, whether or not a daemon runs."""
    from appliance.daemon.standing import contract_status
    from appliance.identity import box_id
    from appliance.status.lines import contract_lines

    out = printer(context, as_json)
    with opened_box(context) as box:
        contract = box.contract
        clock = box.agreement.entitlements.look_at_clock()
        standing = contract_status(box, contract)
        zone = box.zone
    name: str | None
    try:
        name = box_id()
    except KurabakoError:
        name = None
    out.document(
        {
            "box": name,
            "source": _source(contract),
            "profile": contract.profile.id,
            "capacity_bytes": contract.capacity,
            "reserve_bytes": contract.reserve,
            "meter": contract.profile.meter.value,
            "holds": contract.profile.holds,
            "entitlement": contract.entitlement.to_json() if contract.entitlement else None,
            "refusal": _error(contract.refusal),
            "clock": _error(clock),
            "standing": standing,
        }
    )
    out.say(T("Box: {id}", id=name or "–"))
    if contract.entitlement is not None:
        out.say(*_entitlement(contract.entitlement))
    profile = contract.profile
    out.say(T("Service: {name}", name=profile.name_ja if out.language == "ja" else profile.name_en))
    if contract.refusal is None:
        out.say(_capacity(contract), *_rules(contract))
        if standing is not None:
            out.say(*contract_lines(standing, out.language, zone))
    for error in (contract.refusal, clock):
        if error is not None:
            out.say(*(part for part in (error.what, error.safe, error.todo) if part is not None))
    if contract.refusal is not None:
        raise typer.Exit(ExitCode.FAILED)


def _source(contract: Contract) -> str:
    if contract.refusal is not None:
        return "none"
    return "entitlement" if contract.entitlement is not None else "settings"


def _error(error: KurabakoError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"code": error.code, "what": error.what, "safe": error.safe, "todo": error.todo}


def _rules(contract: Contract) -> Iterator[Text]:
    """What the terms make of the capacity, and of runs that are lost."""
    terms, profile = contract.terms, contract.profile
    exceeded = terms.capacity.exceeded if terms.capacity is not None else None
    if contract.capacity is not None:
        clause = exceeded.clause if exceeded is not None else "–"
        counts = _METERS[profile.meter.value]
        yield (
            T("{counts}; what would exceed it is held back ({clause})", counts=counts, clause=clause)
            if profile.holds
            else T("{counts}; more than that is told of and goes on ({clause})", counts=counts, clause=clause)
        )
    rule = terms.recollect
    if rule is not None and rule.operational_suspension is not None and rule.customer is not None:
        yield T(
            "Runs lost to the provider's works ({works}) or through the customer ({customer}) are not made up for.",
            works=rule.operational_suspension,
            customer=rule.customer,
        )
    if contract.entitlement is not None:
        yield T("The coming dates: kurabako contract calendar")


_METERS = {
    "stored": T("It counts what is stored"),
    "collected": T("It counts what is collected"),
    "none": T("It counts nothing"),
}


def _capacity(contract: Contract) -> Text:
    from appliance.contract.consistent import capacity_of

    if contract.capacity is None:
        return T("Capacity: no limit")
    figures = {"capacity": format_size(contract.capacity), "reserve": format_size(contract.reserve)}
    granted = capacity_of(contract.profile, contract.entitlement) if contract.entitlement is not None else None
    if contract.entitlement is None:
        return T("Capacity: {capacity}, as the settings say; {reserve} of it kept back for upkeep", **figures)
    if granted is not None and contract.capacity < granted:
        return T(
            "Capacity: {capacity}, as the settings lower the {granted} that the provider signed; "
            "{reserve} of it kept back for upkeep",
            granted=format_size(granted),
            **figures,
        )
    if contract.reserve == 0:
        return T("Capacity: {capacity}, as the provider signed", capacity=figures["capacity"])
    return T("Capacity: {capacity}, as the provider signed; {reserve} of it kept back for upkeep", **figures)


_CONNECTIONS = {
    "internet": T("Internet"),
    "internet_vpn": T("VPN over the Internet"),
    "ip_vpn": T("closed IP-VPN"),
}
_FEES = {"monthly": T("monthly"), "initial": T("initial"), "yearly": T("yearly"), "other": T("other")}
_ROLES = {
    "administrator": T("Administrator"),
    "responsible_person": T("Responsible person"),
    "information_officer": T("Information officer"),
    "provider": T("The provider's desk"),
}


def _entitlement(entitlement: Entitlement) -> Iterator[Text]:
    """What was bought, a line each; what the entitlement does not say is left out."""
    one = entitlement
    yield T("Contract: {id} (entitlement number {serial})", id=one.contract_id, serial=one.serial)
    yield T("Holder: {holder}", holder=one.holder)
    yield T("Contract date: {date}", date=one.contract_date.isoformat())
    yield T("Service starts: {date}", date=one.service_start.isoformat())
    if one.term_years is not None:
        yield T("Term in years: {years}", years=one.term_years)
    if one.units is not None:
        yield T("Units: {units}", units=one.units)
    if one.features:
        yield T("Features: {features}", features=", ".join(one.features))
    if one.devices:
        yield T("Devices: {devices}", devices=", ".join(one.devices))
    for account in one.accounts:
        yield T("Account: {account} ({buckets})", account=account.user_id, buckets=", ".join(account.buckets) or "–")
    if one.org_string is not None:
        yield T("Bucket names contain: {text}", text=one.org_string)
    if one.connection_type is not None:
        yield T("Connection: {connection}", connection=_CONNECTIONS[one.connection_type])
    for entry in one.hosts:
        yield T("Hosts entry: {address} {name}", address=entry.address, name=entry.name)
    if one.protocols:
        yield T("Protocols: {protocols}", protocols=", ".join(one.protocols))
    if one.site_country is not None:
        yield T("Country: {country}", country=one.site_country)
    if one.backup_window is not None:
        window = one.backup_window
        yield T("Backup window: {starts} – {ends}", starts=f"{window.starts:%H:%M}", ends=f"{window.ends:%H:%M}")
    if one.delivered_on is not None:
        yield T("Delivered on: {date}", date=one.delivered_on.isoformat())
    if one.cloud_arranged_by is not None:
        who = T("the provider") if one.cloud_arranged_by == "provider" else T("the customer")
        yield T("The cloud was arranged by: {who}", who=who)
    for fee in one.fees:
        since = fee.effective_on.isoformat()
        yield T("Fee ({kind}): {amount} yen from {day}", kind=_FEES[fee.kind], amount=f"{fee.amount:,}", day=since)
    if one.reseller is not None:
        yield T("Reseller: {name}", name=one.reseller)
    if one.overrides:
        yield T("Agreed otherwise than in the terms: {tables}", tables=", ".join(sorted(one.overrides)))
    for contact in one.contacts:
        name = f"{contact.name} <{contact.mail}>" if contact.mail else contact.name
        yield T("{role}: {name}", role=_ROLES[contact.role], name=name)
    for option in one.options:
        ends = option.ends_on.isoformat() if option.ends_on else ""
        yield T("Option: {id}, {starts} – {ends}", id=option.id, starts=option.starts_on.isoformat(), ends=ends)
