"""Whether the vault and the cloud answer: one small question to each, without patience."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing

from appliance.box import Box
from appliance.contract.box_state import Action
from appliance.daemon.memory import Memory
from appliance.errors import KurabakoError
from appliance.storage.interface import ObjectNotFound, Storage
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
        memory.found_place(
            "cloud", box.cloud_location, _answers(box.raw_cloud_storage, must_hold=not box.has_vault), box.clock()
        )


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
