"""Letters to the provider, ready to be signed: pure texts, in the language that the provider reads.

A letter is a draft. The box sends none: what counts is the customer's own notice, in the form that the terms demand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from appliance.contract.civil import Deadline
from appliance.contract.entitlement import Entitlement
from appliance.contract.leaving import Leaving
from appliance.contract.profile import ServiceProfile
from appliance.text import T, Text


def language_of(profile: ServiceProfile, otherwise: str) -> str:
    """The language in which the provider is written to: the only one it answers in, else `otherwise`."""
    rule = profile.terms.language if profile.terms is not None else None
    return rule.of if rule is not None else otherwise


def written(lines: Iterable[Text | None], language: str) -> str:
    """A letter as text; None is an empty line."""
    return "\n".join(line.render(language) if line is not None else "" for line in lines) + "\n"


def head(title: Text, profile: ServiceProfile, entitlement: Entitlement, on: date, language: str) -> list[Text | None]:
    """The beginning of a letter: what it is, of which day, about which contract."""
    service = profile.name_ja if language == "ja" else profile.name_en
    return [
        title,
        None,
        T("Date: {day}", day=on.isoformat()),
        T("Service: {name}", name=service),
        T("Contract: {id}", id=entitlement.contract_id),
        T("Holder: {holder}", holder=entitlement.holder),
        None,
    ]


def foot() -> list[Text | None]:
    """The end of a letter: room for name and signature."""
    return [None, T("Name: ______________________________"), None, T("Signature or seal: ____________________")]


def cancellation(profile: ServiceProfile, entitlement: Entitlement, leaving: Leaving, language: str) -> str:
    """The customer's notice that it ends the contract."""
    says = {"clause": leaving.clause}
    wanted = (
        T(
            "We give notice that we end the contract on {day} (clause {clause}).",
            day=leaving.ends_on.isoformat(),
            **says,
        )
        if leaving.ends_on is not None
        else T("We wish to end the contract, and ask you to agree with us on the day.", **says)
    )
    title = T("Notice of cancellation (draft)")
    return written([*head(title, profile, entitlement, leaving.on, language), wanted, *foot()], language)


def declined_renewal(profile: ServiceProfile, entitlement: Entitlement, leaving: Leaving, language: str) -> str:
    """The customer's notice that it wants no renewal."""
    declining = leaving.declining
    assert declining is not None
    says = [
        T(
            "We give notice that the contract is not to be renewed when its term ends on {day} (clause {clause}).",
            day=declining.ends_on.isoformat(),
            clause=declining.clause,
        ),
        T(
            "It has to reach you by {last}; we send it by {safe}.",
            last=declining.deadline.last.isoformat(),
            safe=declining.deadline.safe.isoformat(),
        ),
    ]
    title = T("Notice against the renewal (draft)")
    return written([*head(title, profile, entitlement, leaving.on, language), *says, *foot()], language)


@dataclass(frozen=True)
class Acceptance:
    """What was looked at after a delivery: each check's title, whether it was good, and what was found."""

    on: date
    deadline: Deadline
    clause: str
    checks: tuple[tuple[Text, bool, Text], ...]


def acceptance(profile: ServiceProfile, entitlement: Entitlement, found: Acceptance, language: str) -> str:
    """The dated report of what was delivered, and until when it counts."""
    assert entitlement.delivered_on is not None
    days = {"last": found.deadline.last.isoformat(), "safe": found.deadline.safe.isoformat(), "clause": found.clause}
    closed = found.on > found.deadline.last
    lines: list[Text | None] = [
        *head(T("Report on what was delivered"), profile, entitlement, found.on, language),
        T("Delivered on: {day}", day=entitlement.delivered_on.isoformat()),
        T("Defects could be reported until {last} (clause {clause}).", **days)
        if closed
        else T("Defects can be reported until {last}, to be safe by {safe} (clause {clause}).", **days),
        None,
    ]
    for title, good, what in found.checks:
        lines.append(
            T("[good] {title}: {what}", title=title, what=what)
            if good
            else T("[defect] {title}: {what}", title=title, what=what)
        )
    return written([*lines, *foot()], language)


def destruction(number: int, made_at: str, destroyed_at: str, consent: str, left: int, language: str) -> str:
    """The certificate that a copy of the diagnostics was destroyed."""
    lines: list[Text | None] = [
        T("Certificate of destruction"),
        None,
        T("Copy number {number}, made at {moment}", number=number, moment=made_at),
        T("Consent: {consent}", consent=consent or "–"),
        T("Destroyed at {moment}: overwritten once with zeros, and removed", moment=destroyed_at),
        T("Copies that are still out: {count}", count=left),
    ]
    return written([*lines, *foot()], language)
