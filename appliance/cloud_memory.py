"""What the cloud remembers of the contract, for a box that lost its memory: the entitlement, and when it last was.

The entitlement lies beside the repository as its provider signed it. When it last was, the newest snapshot says.
Neither can be forged by who only has access to the bucket.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from appliance.agreement import Agreement
from appliance.capacity import GatedStorage
from appliance.contract.box_state import Action
from appliance.errors import KurabakoError
from appliance.replication.removed import is_replaced
from appliance.repository import NotARepository, Repository
from appliance.state import State
from appliance.storage.interface import AccessDenied, ObjectNotFound

logger = logging.getLogger(__name__)

NOTE = "contract/entitlement.jws"
"""The entitlement's name in the cloud, where no repository has one."""

_RECALLED = "clock.recalled"
"""The state's name for whether this memory was told the newest moment that the cloud knows."""


HAD = "cloud.had"
"""The state's name for the snapshots that the cloud had after the last replication, and where that was."""


def snapshots_in(state: State, location: str) -> list[str]:
    """The keys of the snapshots that this place had when it was last replicated to."""
    known = state.value(HAD) or {}
    had: list[str] = known.get("snapshots", []) if known.get("location") == location else []
    return had


def heed_cloud(agreement: Agreement, state: State, cloud: GatedStorage, password: Callable[[], str]) -> GatedStorage:
    """Tells the box's memory what the cloud knows, and the cloud what it does not know yet; where there is a provider.

    Returns the cloud. Raises why nothing may be sent now, which the cloud may know and the box did not; a storage's
    error, `CapacityExceeded`, `StateError`.
    """
    entitlements = agreement.entitlements
    document = entitlements.document
    if document is None:
        return cloud
    try:
        known = cloud.get(NOTE).decode("ascii", "replace")
    except ObjectNotFound:
        known = ""
    except AccessDenied as error:
        logger.warning("what the cloud remembers of the contract cannot be read: %s", error.what)
        return cloud
    replaced = is_replaced(cloud.ledger.objects(), snapshots_in(state, agreement.cloud))
    if known.strip() != document.strip() and not (known and entitlements.heed(known)) and not replaced:
        cloud.for_upkeep().put(NOTE, document.encode("ascii"))
    if not state.value(_RECALLED, False):
        _recall_moment(agreement, state, cloud, password())
    agreement.contract.require(Action.UPLOAD, cloud.location)
    return cloud


def _recall_moment(agreement: Agreement, state: State, cloud: GatedStorage, password: str) -> None:
    try:
        snapshots = Repository.open(cloud, password).snapshots(lambda _: None)
    except NotARepository:
        snapshots = []
    except KurabakoError as error:
        logger.warning("the cloud's newest moment cannot be known: %s", error.what)
        return
    if snapshots:
        agreement.entitlements.recall(max(each.moment for each in snapshots))
    state.set_value(_RECALLED, True)
