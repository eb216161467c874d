"""Who may have what restored, under which conditions (復元テスト, 復元検証, データ復旧作業). Pure.

A customer can always get its own data back: what the terms bind to an order or an option is what others do for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from appliance.contract.collection import Refused
from appliance.contract.entitlement import Entitlement
from appliance.contract.purposes import Actor, RestorePurpose
from appliance.contract.terms import Terms
from appliance.text import T, Text


def refuse_restore(
    terms: Terms, entitlement: Entitlement | None, purpose: RestorePurpose, actor: Actor, order: str, today: date
) -> Refused | None:
    """Why a restore is not done. `order` is the number of the paid order; empty where there is none."""
    if purpose is RestorePurpose.RECOVERY and actor is Actor.CUSTOMER:
        return None
    rule = getattr(terms.restores, purpose.value) if terms.restores is not None else None
    if rule is None:
        return Refused(T("The terms know no such restore by others than the customer."), "–")
    if actor.value not in rule.actors:
        return Refused(T("The terms let only these do it: {actors}.", actors=", ".join(rule.actors)), rule.clause)
    if rule.paid and not order:
        return Refused(T("It needs a paid order, whose number is to be given."), rule.clause)
    if rule.option is not None and not _has_option(entitlement, rule.option, today):
        return Refused(T("It needs the option {option}, which was not ordered.", option=rule.option), rule.clause)
    return None


def _has_option(entitlement: Entitlement | None, option: str, today: date) -> bool:
    if entitlement is None:
        return False
    ordered = (one for one in entitlement.options if one.id == option)
    return any(one.starts_on <= today and (one.ends_on is None or today <= one.ends_on) for one in ordered)


def remarks(terms: Terms) -> Iterator[Text]:
    """What a person should know who gets data back."""
    rule = terms.restores
    if rule is not None and rule.no_warranty is not None:
        yield T("The terms do not warrant that what was restored is sound ({clause}).", clause=rule.no_warranty)
    if rule is not None and rule.no_help is not None:
        yield T("The provider helps nobody with a restore of one's own ({clause}).", clause=rule.no_help)
