"""Sources as the contract lets them be collected."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from appliance.agreement import Agreement, Contract
from appliance.contract.collection import SourceFacts, refuse_source
from appliance.identity import box_id
from appliance.policy import SourcePolicy
from appliance.sources.interface import FoundSource
from appliance.state import State

_ACKNOWLEDGED = "my-number.acknowledged"


def as_contracted(
    found: FoundSource, policy: SourcePolicy, contract: Contract, state: State, *, cloud: bool
) -> FoundSource:
    """The source; not collectable, with the reason and its clause, where the contract does not let it be."""
    # What lies on the box itself is on the box, a device that a contract may name.
    own = (box_id(),) if found.kind == "folder" and contract.entitlement is not None else ()
    facts = SourceFacts(
        (found.id, *map(str, found.details.values()), *own),
        my_number=policy.my_number == "contained",
        acknowledged=found.id in state.value(_ACKNOWLEDGED, {}),
    )
    refused = refuse_source(contract.terms, contract.entitlement, facts, cloud=cloud)
    return found if refused is None else replace(found, collectable=False, why_not=refused.sentence)


def acknowledge_my_number(agreement: Agreement, state: State, source: FoundSource, by: str, at: datetime) -> None:
    """Records that `by` knows that this source's Individual Numbers go to the provider. Raises `StateError`."""
    known = state.value(_ACKNOWLEDGED, {})
    state.set_value(_ACKNOWLEDGED, {**known, source.id: {"by": by, "at": at.isoformat()}})
    agreement.record("my-number.acknowledged", {"source": source.id, "by": by})
