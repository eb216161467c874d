"""Who is told by contract: the contacts it registers, and the evidence that they were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from appliance.agreement import Contract
from appliance.box import Box
from appliance.contract.conduct import Role
from appliance.status.outputs import Notice


def addressed(notices: Iterable[Notice], contract: Contract) -> list[Notice]:
    """The notices, for the contacts whom the terms want to be told: the administrator where they do not say."""
    rule = contract.terms.notices
    roles = rule.to if rule is not None else (Role.ADMINISTRATOR,)
    contacts = contract.entitlement.contacts if contract.entitlement is not None else ()
    to = tuple(contact.mail for contact in contacts if contact.role in roles and contact.mail is not None)
    return [replace(notice, to=to) for notice in notices]


def note_sent(box: Box, channel: str, notice: Notice) -> None:
    """That a notice was sent is evidence: by which channel, to whom, and from when it counts as the terms have it."""
    rule, at = box.contract.terms.notices, box.clock()
    on_sending = rule is not None and rule.mail == "sent"
    box.agreement.record(
        "notice",
        {
            "code": notice.code,
            "severity": notice.severity.value,
            "channel": channel,
            "to": list(notice.to),
            "happened_at": notice.at.isoformat(),
            "sent_at": at.isoformat(),
            "effective_at": at.isoformat() if on_sending else None,
            "clause": rule.clause if rule is not None else "",
        },
    )
