"""Whether the vault and the cloud answer: one small question to each, without patience."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from urllib.parse import urlsplit

from appliance.box import Box
from appliance.contract.box_state import Action
from appliance.contract.entitlement import Entitlement
from appliance.contract.matters import MatterKind
from appliance.daemon.memory import Memory
from appliance.errors import KurabakoError
from appliance.storage.interface import ObjectNotFound, Storage, StorageError
from appliance.transfers import Mode

logger = logging.getLogger(__name__)


def probe_places(box: Box) -> None:
    """Asks the places and remembers whether they answered. Raises `StateError`."""
    memory = Memory(box.state)
    if box.has_vault:
        memory.found_place("vault", box.vault_location, _answers(box.vault_storage, must_hold=True), box.clock())
    hold = box.transfers.hold
    allowed = box.contract.against(Action.CLOUD_RESTORE, box.cloud_location) is None
    if box.has_cloud and allowed and not (hold and hold.mode is Mode.STOPPED):
        answers = _answers(box.raw_cloud_storage, must_hold=not box.has_vault)
        memory.found_place("cloud", box.cloud_location, answers, box.clock())
        note_outage(box, answers=answers)


def vault_returned(box: Box) -> bool:
    """Whether the vault did not answer when it was asked last, and does now. Raises `StateError`."""
    if not box.has_vault or Memory(box.state).place("vault", box.vault_location).reachable is not False:
        return False
    return _answers(box.vault_storage, must_hold=True)


def note_outage(box: Box, *, answers: bool) -> None:
    """An outage begins when the cloud does not answer, and is over when it does again. Raises `StateError`.

    One during which another bucket of the contract answered is a partial one.
    """
    contract, matters, now = box.contract, box.agreement.matters, box.clock()
    tells = contract.terms.outage_credit is not None or contract.terms.support is not None
    if contract.entitlement is None or not tells:
        return
    lasting = [one for one in matters.known() if one.kind is MatterKind.OUTAGE and one.over_at is None]
    if answers:
        for one in lasting:
            matters.change(one, over_at=now)
        return
    outage = lasting[0] if lasting else matters.begin(MatterKind.OUTAGE, now)
    if not outage.partial and any(map(partial(_reaches, box), _other_buckets(box, contract.entitlement))):
        matters.change(outage, partial=True)


def _other_buckets(box: Box, entitlement: Entitlement) -> Iterator[str]:
    """The addresses of the contract's further buckets, at the same server."""
    address = urlsplit(box.cloud_location.partition(":")[2])
    bucket = address.path.strip("/").partition("/")[0]
    for name in dict.fromkeys(one for account in entitlement.accounts for one in account.buckets):
        if bucket and name != bucket:
            yield f"s3:{address.scheme}://{address.netloc}/{name}"


def _reaches(box: Box, url: str) -> bool:
    """Whether a bucket answers, be it with a refusal: this key need not be one for it."""
    try:
        options = {**box.require_cloud().options(), "hosts": box.contract.hosts}
        with closing(box.plugins.open_storage(url, options)) as storage:
            storage.stat("config")
    except StorageError as error:
        return not error.transient
    except KurabakoError:
        return False
    return True


def _answers(open_storage: Callable[[], Storage], *, must_hold: bool) -> bool:
    """Whether the place answers; a place that `must_hold` a repository and holds none is not usable."""
    try:
        with closing(open_storage()) as storage:
            storage.stat("config")
    except ObjectNotFound:
        return not must_hold
    except KurabakoError as error:
        logger.warning("%s", error)
        return False
    return True
