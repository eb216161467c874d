"""What was forgotten on purpose, so that replication may take it from the cloud, and what waits to be cleared away."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from appliance.state import State

_FORGOTTEN = "retention.forgotten"
_UNPRUNED = "retention.unpruned"
_UNCARRIED = "retention.uncarried"
_PATHS = "retention.paths"


class Forgotten:
    """The box's memory of its upkeep. Raises `StateError` when the disk does not let it."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def ids(self) -> frozenset[str]:
        """Snapshots that the rules or a person let go, and that may still be in the cloud."""
        return frozenset(self._state.value(_FORGOTTEN, {}))

    def add(self, snapshots: Collection[str], at: datetime) -> None:
        """Notes snapshots before the first of them is deleted."""
        if snapshots:
            known = self._state.value(_FORGOTTEN, {})
            self._state.set_value(_FORGOTTEN, known | dict.fromkeys(snapshots, at.isoformat()))
            self._state.set_value(_UNPRUNED, True)

    def carried(self, still_there: Collection[str]) -> None:
        """A replication ended with nothing left over; `still_there` are the snapshots that the cloud has."""
        known = self._state.value(_FORGOTTEN, {})
        self._state.set_value(_FORGOTTEN, {name: at for name, at in known.items() if name in still_there})
        self._state.set_value(_UNCARRIED, False)

    @property
    def unpruned(self) -> bool:
        """Whether something was forgotten since the last prune."""
        return bool(self._state.value(_UNPRUNED, False))

    @property
    def uncarried(self) -> bool:
        """Whether the cloud has not followed the last prune of the vault yet."""
        return bool(self._state.value(_UNCARRIED, False))

    def pruned(self, *, changed: bool) -> None:
        """A prune ended; `changed`: it deleted something, which the cloud has yet to follow."""
        self._state.set_value(_UNPRUNED, False)
        if changed:
            self._state.set_value(_UNCARRIED, True)

    def note_source(self, source_id: str, paths: Collection[str]) -> None:
        """Notes which source the snapshots of these paths are of."""
        known = self._state.value(_PATHS, {})
        key = "\n".join(sorted(paths))
        if known.get(key) != source_id:
            self._state.set_value(_PATHS, known | {key: source_id})

    def source_of(self, paths: Collection[str]) -> str | None:
        """The source that the snapshots of these paths are of; None when that is not known."""
        known: dict[str, str] = self._state.value(_PATHS, {})
        return known.get("\n".join(sorted(paths)))
