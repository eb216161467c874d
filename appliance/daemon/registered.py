"""Who is told by contract: the contacts it registers, and the evidence that they were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from appliance.agreement import Contract
from appliance.box import Box
from appliance.contract.conduct import Role
from appliance.contract.matters import ON_THE_CLOUDS_SIDE
from appliance.status.notices import TOLD
from appliance.status.outputs import Notice

_ROUTED = frozenset(f"matter.{kind.value}" for kind in ON_THE_CLOUDS_SIDE)


def addressed(notices: Iterable[Notice], contract: Contract) -> list[Notice]:
    """The notices, for the contacts whom the terms want to be told: the administrator where they do not say."""
    return [replace(notice, to=_to(notice.code, contract)) for notice in notices]


def _to(code: str, contract: Contract) -> tuple[str, ...]:
    """Whoever is told of what: of what is wrong with a cloud that the provider arranged, the provider itself.

    What the provider makes known is passed on to the users too, where the terms say so.
    """
    entitlement, terms = contract.entitlement, contract.terms
    if entitlement is None:
        return ()
    roles = terms.notices.to if terms.notices is not None else (Role.ADMINISTRATOR,)
    if code in _ROUTED and terms.routing is not None and entitlement.cloud_arranged_by == "provider":
        roles = (Role.PROVIDER,)
    found = [contact.mail for contact in entitlement.contacts if contact.role in roles]
    if code == TOLD and terms.notices is not None and terms.notices.pass_on is not None:
        found += [account.mail for account in entitlement.accounts]
    return tuple(mail for mail in dict.fromkeys(found) if mail is not None)


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
