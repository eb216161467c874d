"""The matters of one box, kept in its memory; each change is evidence, from which a lost memory knows them again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from appliance.contract.directive import Recorded
from appliance.contract.matters import Matter, MatterKind, asked_by, known_outages
from appliance.contract.terms import Terms
from appliance.errors import ExitCode, KurabakoError
from appliance.state import State
from appliance.text import T

MATTER = "matter"
"""A kind of evidence."""

_KNOWN = "contract.matters"
_KEPT = 200
"""Matters that are remembered; the evidence has all."""


class NoSuchMatter(KurabakoError):
    """There is no matter with this number."""

    code = "matter.unknown"
    exit_code = ExitCode.USAGE


class Matters:
    """`record` adds to the evidence, `history` reads what it holds of a kind. Raises `StateError`."""

    def __init__(
        self,
        *,
        state: Callable[[], State],
        begun: Callable[[], bool],
        record: Callable[[str, Mapping[str, Any]], None],
        history: Callable[[str], Iterable[Mapping[str, Any]]],
    ) -> None:
        self._state = state
        self._begun = begun
        self._record = record
        self._history = history

    def known(self, directives: tuple[Recorded, ...] = (), terms: Terms | None = None) -> tuple[Matter, ...]:
        """Every matter, the oldest first: those begun here, and those that the provider's notices open."""
        kept = self._kept()
        told = {one.id: one for one in asked_by(directives, terms)} if terms is not None else {}
        marked = {name: replace(one, **_marks(kept[name])) for name, one in told.items() if name in kept}
        own = {name: one for name, one in kept.items() if not name.startswith("D")}
        outages = known_outages(directives)
        found = [_with_knowledge(one, outages) for one in (*own.values(), *(told | marked).values())]
        return tuple(sorted(found, key=lambda one: (one.since, one.id)))

    def begin(self, kind: MatterKind, since: datetime, subject: str = "", *, partial: bool = False) -> Matter:
        """A matter that begins here."""
        number = 1 + max((int(name[1:]) for name in self._kept() if name.startswith("M")), default=0)
        return self._keep(Matter(f"M{number}", kind, since, subject, partial=partial))

    def change(self, matter: Matter, **facts: Any) -> Matter:
        """Notes what became of a matter: `told_at`, `over_at`, `settled_at`, `partial`."""
        return self._keep(replace(matter, **facts))

    def _keep(self, matter: Matter) -> Matter:
        document = msgspec.to_builtins(matter)
        self._record(MATTER, document)
        kept = {**self._kept(), matter.id: matter}
        newest = sorted(kept.values(), key=lambda one: one.since)[-_KEPT:]
        self._state().set_value(_KNOWN, {one.id: msgspec.to_builtins(one) for one in newest})
        return matter

    def _kept(self) -> dict[str, Matter]:
        known = self._state().value(_KNOWN) if self._begun() else None
        if known is None:
            known = {one["id"]: one for one in self._history(MATTER)}
        return {name: msgspec.convert(one, Matter) for name, one in known.items()}


def _marks(kept: Matter) -> dict[str, Any]:
    return {name: getattr(kept, name) for name in ("told_at", "over_at", "settled_at") if getattr(kept, name)}


def _with_knowledge(matter: Matter, outages: tuple[datetime, ...]) -> Matter:
    """An outage that the provider knew of while it lasted."""
    if matter.kind is not MatterKind.OUTAGE:
        return matter
    during = [at for at in outages if matter.over_at is None or at < matter.over_at]
    since = [at for at in during if at >= matter.since]
    return replace(matter, known_at=min(since)) if since else matter


def matter_called(matters: Iterable[Matter], name: str) -> Matter:
    """The matter with this number; `NoSuchMatter`."""
    found = next((one for one in matters if one.id == name.upper()), None)
    if found is None:
        raise NoSuchMatter(
            T("There is no matter {name}.", name=name),
            safe=T("Nothing was changed."),
            todo=T("“kurabako contract matters” lists them."),
        )
    return found
