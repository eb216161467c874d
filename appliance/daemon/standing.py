"""How the contract stands, as the Status tells it, and what of it is a problem."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from appliance.agreement import Contract
from appliance.box import Box
from appliance.contract.box_state import BoxState, Condition, shown
from appliance.contract.civil import civil_day
from appliance.contract.directive import Notice, TermsChange
from appliance.contract.ending import reminder
from appliance.contract.terms import Terms
from appliance.contract.words import DIRECTIVES, STATES
from appliance.daemon.ending import ERASED
from appliance.daemon.held import held_problems
from appliance.daemon.matters import matter_problems
from appliance.directives import Taken
from appliance.errors import KurabakoError
from appliance.status.model import ContractEvent, ContractStatus, Problem, Severity
from appliance.status.notices import TOLD
from appliance.text import T, Text

NEWS = timedelta(days=30)
"""How long an irregular directive is told of."""

NOTICE = T("Notice of the provider: {subject} (counts from {moment}).")
"""How a notice is told."""

_PROBLEMS = {
    BoxState.ENDED: ("ending.ended", Severity.ATTENTION),
    BoxState.SUSPENDED_PROVISION: ("contract.suspended", Severity.ATTENTION),
    BoxState.HOLD_REGION: ("contract.region", Severity.ATTENTION),
    BoxState.HOLD_CONFIG: ("contract.config", Severity.ATTENTION),
    BoxState.SUSPENDED_OPERATIONAL: ("contract.maintenance", Severity.WARNING),
    BoxState.RESTRICTED_TELECOM8: ("contract.restricted", Severity.INFO),
    BoxState.CONTRACTED_NOT_STARTED: ("contract.not-started", Severity.INFO),
}
"""The code and weight of each state that is a problem; those of the capacity are told beside it."""


def contract_status(box: Box, contract: Contract) -> ContractStatus | None:
    """How the contract stands; None where the settings alone say what is agreed."""
    if box.settings.contract.provider_key_file is None:
        return None
    standing, first = contract.standing, contract.standing.first
    return ContractStatus(
        state=standing.state.value,
        title=STATES[standing.state],
        allowed=tuple(sorted(action.value for action in standing.allowed)),
        reason=first.why if first else None,
        clause=first.clause if first else "",
        todo=first.todo if first else None,
        until=first.until if first else None,
        holding=tuple(_event(one) for one in standing.conditions),
        coming=tuple(_event(one) for one in standing.upcoming),
        clock_trusted=standing.clock_trusted,
    )


def _event(condition: Condition) -> ContractEvent:
    return ContractEvent(condition.why, condition.clause, condition.since, condition.until)


def contract_problems(box: Box, contract: Contract) -> Iterator[Problem]:
    """What a person should know of the contract, and that the clock is wrong."""
    now = box.clock()
    wrong_clock = box.agreement.entitlements.look_at_clock()
    for error in (contract.refusal, wrong_clock):
        if error is not None:
            severity = Severity.WARNING if error is not contract.refusal else Severity.ATTENTION
            yield Problem(error.code, severity, error.what, now, safe=error.safe, todo=error.todo)
    if contract.refusal is not None:
        return
    for condition in contract.standing.conditions:
        code, severity = _PROBLEMS.get(condition.state, ("", Severity.INFO))
        if code:
            yield _problem(condition, code, severity)
    yield from held_problems(box, contract)
    yield from _ending(box, contract)
    yield from _made_known(box, contract)
    yield from matter_problems(box, contract)


def _problem(condition: Condition, code: str, severity: Severity) -> Problem:
    return Problem(
        code,
        severity,
        T("{why} ({clause})", why=condition.why, clause=condition.clause),
        condition.since,
        subject=str(condition.directive or ""),
        safe=T("What is in the vault is unharmed; backups into it and restores from it go on."),
        todo=condition.todo,
    )


def _ending(box: Box, contract: Contract) -> Iterator[Problem]:
    """The reminders before a known end, each a step of one scale, and what could not be erased after it."""
    now, _ = box.agreement.entitlements.present()
    due = reminder(contract.terms, contract.standing, civil_day(now))
    if due is not None:
        yield Problem(
            "ending.reminder",
            Severity.WARNING,
            T(
                "The contract ends on {day}: {count} day(s) are left.",
                day=due.last_day.isoformat(),
                count=due.days_left,
            ),
            now,
            subject=f"{due.step:02}",
            safe=T("What is in the vault stays; what is in the cloud is gone after that day."),
            todo=T("Restore from the cloud what the vault has not: kurabako restore --from cloud …"),
        )
    failed = (box.state.value(ERASED) or {}).get("failed", [])
    if failed:
        yield Problem(
            "contract.erasure",
            Severity.ATTENTION,
            T("After the end of the contract, this could not be erased: {places}.", places=", ".join(failed)),
            now,
            safe=T("Nothing of your own was touched."),
            todo=T("Remove it by hand, or restart the box to have it tried again."),
        )


def _made_known(box: Box, contract: Contract) -> Iterator[Problem]:
    """What the provider told of late, and what of it is not as the terms demand: that is obeyed, people settle it."""
    now = box.clock()
    try:
        taken = box.agreement.directives.all_taken()
    except KurabakoError:
        return  # told as the contract's refusal
    for one in taken:
        if now - one.recorded.received_at >= NEWS:
            continue
        if isinstance(one.recorded.directive, Notice | TermsChange):
            yield _told(one, contract.terms)
        if one.irregular:
            yield _irregular(one)


def _told(taken: Taken, terms: Terms) -> Problem:
    directive, since = taken.recorded.directive, shown(taken.effective_at)
    todo = None
    if isinstance(directive, Notice):
        what = Text(NOTICE.message, {"subject": directive.subject, "moment": since})
    else:
        assert isinstance(directive, TermsChange)
        version = directive.version.isoformat()
        what = T("The terms change to the version of {version}, from {moment} on.", version=version, moment=since)
        rule = terms.terms_change
        if rule is not None and rule.exit_clause is not None:
            todo = T("You may leave the contract instead ({clause}).", clause=rule.exit_clause)
    received_at, number = taken.recorded.received_at, str(taken.recorded.number)
    return Problem(TOLD, Severity.INFO, what, received_at, subject=number, todo=todo)


def _irregular(taken: Taken) -> Problem:
    recorded, first = taken.recorded, taken.irregular[0]
    return Problem(
        "directive.irregular",
        Severity.INFO,
        T(
            "Directive {number} of the provider ({kind}) is not as the terms demand: {why} ({clause}).",
            number=recorded.number,
            kind=DIRECTIVES[recorded.directive.kind],
            why=first.why,
            clause=first.clause,
        ),
        recorded.received_at,
        subject=str(recorded.number),
        safe=T("It is obeyed and recorded."),
        todo=T("Ask your service provider about it if it matters to you."),
    )
