"""Sources as the contract lets them be collected and sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from appliance.agreement import Agreement, Contract
from appliance.contract.box_state import Action, Condition
from appliance.contract.collection import Refused, SourceFacts, refuse_sending, refuse_source
from appliance.identity import box_id
from appliance.policy import Policies, SourcePolicy
from appliance.sources.interface import FoundSource
from appliance.state import State
from appliance.text import T

_ACKNOWLEDGED = "my-number.acknowledged"


def as_contracted(
    found: FoundSource, policy: SourcePolicy, contract: Contract, state: State, *, has_vault: bool, has_cloud: bool
) -> FoundSource:
    """The source; not collectable, with the reason and its clause, where the contract does not let it be.

    One that may not be sent is collected where there is a vault that keeps it, and has a note of that.
    """
    facts = _facts(found, policy, contract, state)
    refused = refuse_source(contract.terms, contract.entitlement, facts)
    unsent = refuse_sending(contract.terms, contract.standing, facts) if has_cloud else None
    if refused is None and unsent is not None and has_vault:
        return replace(found, note=T("It is backed up into the vault only. {why}", why=unsent.sentence))
    refused = refused or unsent
    return found if refused is None else replace(found, collectable=False, why_not=refused.sentence)


def held_sources(contract: Contract, policies: Policies, state: State) -> Mapping[str, Refused]:
    """Every source ever seen whose snapshots may not be sent now, by id, with the reason. Raises `StateError`."""
    narrowed = any(one.only for one in contract.standing.conditions)
    if contract.terms.my_number is None and not narrowed:
        return {}
    held = {}
    for source_id, found in _ever_seen(state).items():
        refused = refuse_sending(contract.terms, contract.standing, _facts(found, policies.of(found), contract, state))
        if refused is not None:
            held[source_id] = refused
    return held


def against_fetching(source_id: str | None, contract: Contract, policies: Policies, state: State) -> Condition | None:
    """What keeps this source's snapshots from being read from the cloud, though others may be. Raises `StateError`.

    Only a directive about its device does, and exactly that (KSG 13-1): what nobody knows the source of may be read.
    """
    found = _ever_seen(state).get(source_id or "")
    if found is None:
        return None
    names = _facts(found, policies.of(found), contract, state).names
    against = contract.standing.against(Action.CLOUD_RESTORE, device=names)
    return against if against is not None and against.only.startswith("device:") else None


def _ever_seen(state: State) -> dict[str, FoundSource]:
    known = {one.source.id: one.source for one in state.designations()}
    return known | {one.source.id: one.source for one in state.sources()}


def _facts(found: FoundSource, policy: SourcePolicy, contract: Contract, state: State) -> SourceFacts:
    # What lies on the box itself is on the box, a device that a contract may name.
    own = (box_id(),) if found.kind == "folder" and contract.entitlement is not None else ()
    return SourceFacts(
        (found.id, *map(str, found.details.values()), *own),
        my_number=policy.my_number == "contained",
        acknowledged=found.id in state.value(_ACKNOWLEDGED, {}),
    )


def acknowledge_my_number(agreement: Agreement, state: State, source: FoundSource, by: str, at: datetime) -> None:
    """Records that `by` knows that this source's Individual Numbers go to the provider. Raises `StateError`."""
    known = state.value(_ACKNOWLEDGED, {})
    state.set_value(_ACKNOWLEDGED, {**known, source.id: {"by": by, "at": at.isoformat()}})
    agreement.record("my-number.acknowledged", {"source": source.id, "by": by})
