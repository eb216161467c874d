"""What the cloud lost without this box having deleted it, where the terms do not let that be mended by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from appliance.box import Box
from appliance.cloud_memory import HAD, snapshots_in
from appliance.replication.removed import CloudReplaced, RemovedFromCloud, is_replaced, removed_from
from appliance.repository import FileType, Repository

_LISTED = 100


class Lost:
    """Looks before a replication, and remembers after it. `again`: a person lets what is gone be sent again."""

    def __init__(self, box: Box, *, again: bool) -> None:
        self._box = box
        self._again = again
        terms = box.contract.terms
        rules = (terms.silent_changes, terms.removal)
        self._clause = next((rule.clause for rule in rules if rule is not None), None)

    @property
    def may_come_back(self) -> bool:
        """Whether what others removed may be brought back now."""
        return self._clause is None or self._again

    def look(self, vault: Repository, there: Collection[str]) -> RemovedFromCloud | None:
        """What is gone and must not come back by itself. Raises `CloudReplaced` where everything is; it is recorded."""
        if self._clause is None:
            return None
        had, location = self._had(), self._box.cloud_location
        if is_replaced(there, had):
            self._record("cloud.replaced", {"snapshots": len(had)})
            if not self._again:
                raise CloudReplaced(location, self._clause)
            return None
        gone = RemovedFromCloud(removed_from(vault, there, had), self._clause)
        if not gone.keys:
            return None
        self._record("cloud.removed", {"files": len(gone.keys), "keys": gone.keys[:_LISTED]})
        return None if self._again else gone

    def note(self, vault: Repository, there: Collection[str]) -> None:
        """Remembers what the cloud has now. What is gone stays known until it is back or the vault lets it go."""
        if self._clause is None:
            return
        now = {key for key in there if key.startswith("snapshots/")}
        now |= {info.key for info in vault.list_files(FileType.SNAPSHOT)} & {*self._had()}
        self._box.state.set_value(HAD, {"location": self._box.cloud_location, "snapshots": sorted(now)})

    def _had(self) -> list[str]:
        return snapshots_in(self._box.state, self._box.cloud_location)

    def _record(self, kind: str, facts: Mapping[str, Any]) -> None:
        told = {"location": self._box.cloud_location, "clause": self._clause, "sent_again": self._again}
        self._box.agreement.record(kind, {**told, **facts})
