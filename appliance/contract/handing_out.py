"""Documents that leave the box for the provider (診断情報): to whom, with whose consent, for what. Pure."""

from __future__ import annotations

from appliance.contract.collection import Refused
from appliance.contract.conduct import Role
from appliance.contract.entitlement import Entitlement
from appliance.contract.terms import Terms
from appliance.text import T


def refuse_handing_out(
    terms: Terms, entitlement: Entitlement | None, *, consent: str, officer: str, purpose: str
) -> Refused | None:
    """Why a document is not handed out.

    `consent` is the number of the other side's consent, `officer` who answers for it, `purpose` the ground as the terms
    number it; each empty where it is not given.
    """
    rule, asked = terms.confidentiality, terms.information
    if rule is not None and rule.copies_need_consent and not consent:
        return Refused(T("It needs the number of a consent."), rule.clause)
    if rule is not None and rule.officers is not None:
        contacts = entitlement.contacts if entitlement is not None else ()
        officers = [one.name for one in contacts if one.role is Role.INFORMATION_OFFICER]
        if not officer or (officers and officer not in officers):
            who = ", ".join(officers) or "–"
            return Refused(
                T("It needs an information officer who answers for it: {officers}.", officers=who), rule.clause
            )
    if asked is not None and purpose not in asked.purposes:
        known = ", ".join(asked.purposes)
        return Refused(T("It needs one of the purposes of the terms: {purposes}.", purposes=known), asked.clause)
    return None
