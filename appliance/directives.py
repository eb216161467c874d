"""The directives of the box's provider: each verified, recorded once, and kept; what is refused is kept as evidence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from appliance.contract.clock import ClockUntrusted
from appliance.contract.directive import KIND, Amendment, Directive, Recorded, parse
from appliance.contract.effect import Irregularity, contract_day, effective_at, irregularities
from appliance.contract.signature import verify
from appliance.contract.taking import Replayed, Signed, require_takeable
from appliance.contract.terms import Terms
from appliance.entitlements import KeyFileUnusable, digest_of, read_provider_key, refusal_of
from appliance.errors import KurabakoError
from appliance.state import DirectiveRecord, State
from appliance.text import T

logger = logging.getLogger(__name__)

HTTPS, BUCKET, DISK, PAGE, CONSOLE, COMMAND = "https", "bucket", "disk", "page", "console", "command"
"""The ways by which directives come."""

TAKEN, REFUSED = "directive", "directive.refused"
"""Kinds of evidence."""

_RECALLED = "directives.recalled"
_REFUSED_BEFORE = "directives.refused"
_REMEMBERED = 200
"""Refused documents that are not recorded again when they are offered again."""


@dataclass(frozen=True)
class Taken:
    """A directive that the box took: from when it counts (None: not yet known), and what of it is irregular."""

    recorded: Recorded
    effective_at: datetime | None
    irregular: tuple[Irregularity, ...]
    contract_from: date | None = None
    """The day from which an amendment counts for the contract and its fees, where that is another than for the box."""


class Directives:
    """The box's directives.

    `contract_id` is that of the entitlement in force (None: none), `terms` are the service's. `require_fitting` raises
    when the box cannot keep what a directive orders. `look_at_clock` says what is wrong with the clock. `record` adds
    to the evidence, `history` reads what it holds of one kind: it has every directive whole, should the memory be lost.
    """

    def __init__(
        self,
        *,
        key_file: Path | None,
        state: Callable[[], State],
        begun: Callable[[], bool],
        box_id: Callable[[], str],
        contract_id: Callable[[], str | None],
        terms: Callable[[], Terms],
        require_fitting: Callable[[Directive], None],
        look_at_clock: Callable[[], ClockUntrusted | None],
        record: Callable[[str, Mapping[str, Any]], None],
        history: Callable[[str], Iterable[Mapping[str, Any]]],
        clock: Callable[[], datetime],
    ) -> None:
        self._key_file = key_file
        self._state = state
        self._begun = begun
        self._box_id = box_id
        self._contract_id = contract_id
        self._terms = terms
        self._require_fitting = require_fitting
        self._look_at_clock = look_at_clock
        self._record = record
        self._history = history
        self._clock = clock
        self._verified: dict[tuple[str, bytes], Directive] = {}

    def take(self, document: str, way: str) -> Taken:
        """Records a signed directive that came by `way`. What is refused changes nothing and is kept as evidence.

        Raises what is wrong with it: `SignatureRefused`, `MalformedDirective`, `WrongBox`, `Replayed`, `Older`,
        `NotYetValid`, `Expired`, `ClockUntrusted`, `KeyFileUnusable`.
        """
        document = document.strip()
        try:
            directive = self._accept(document)
        except KurabakoError as error:
            self._refused(document, way, error)
            raise
        recorded = Recorded(directive, self._clock(), way)
        taken = self._taken(recorded)
        self._record(TAKEN, taken_to_json(taken) | {"sha256": digest_of(document), "document": document})
        self._state().add_directive(DirectiveRecord(directive.number, document, recorded.received_at, way))
        logger.info("directive %d (%s) was taken, by %s", directive.number, directive.kind, way)
        return taken

    def is_known(self, document: str) -> bool:
        """Whether this very document was taken, or refused, before: a way that offers it again need not be heard."""
        document = document.strip()
        if any(one.document == document for one in self._remembered()):
            return True
        return digest_of(document) in self._state().value(_REFUSED_BEFORE, [])

    def recorded(self) -> tuple[Recorded, ...]:
        """Every directive that was taken and is as it was signed, by number. Raises `KeyFileUnusable`, `StateError`."""
        remembered = self._remembered() if self._key_file is not None else ()
        if not remembered or self._key_file is None:
            return ()
        key = read_provider_key(self._key_file)
        found = []
        for one in remembered:
            try:
                directive = self._read(one.document, key)
            except KurabakoError as error:
                logger.error("directive %d is not as it was: %s", one.number, error)
                continue
            found.append(Recorded(directive, one.received_at, one.way))
        return tuple(found)

    def all_taken(self) -> tuple[Taken, ...]:
        """`recorded()`, each with from when it counts and what of it is irregular."""
        return tuple(self._taken(one) for one in self.recorded())

    def _taken(self, recorded: Recorded) -> Taken:
        terms = self._terms()
        return Taken(
            recorded,
            effective_at(recorded, terms),
            irregularities(recorded, terms),
            contract_day(recorded.directive, terms) if isinstance(recorded.directive, Amendment) else None,
        )

    def _accept(self, document: str) -> Directive:
        if self._key_file is None:
            raise KeyFileUnusable(
                T("The settings name no public key of the provider, so no directive can be verified."),
                safe=T("Nothing was changed."),
                todo=T("Write the key's file as provider_key_file into [contract]."),
            )
        directive = self._read(document, read_provider_key(self._key_file))
        remembered = self._remembered()
        if any(one.document == document for one in remembered):
            raise Replayed(
                Signed.DIRECTIVE,
                T("This directive, number {number}, was taken already.", number=directive.number),
                T("Nothing is to be done."),
            )
        wrong = self._look_at_clock()
        if wrong is not None:
            raise wrong
        highest = max((one.number for one in remembered), default=0)
        require_takeable(directive, self._box_id(), self._contract_id(), self._clock(), highest)
        self._require_fitting(directive)
        return directive

    def _read(self, document: str, key: bytes) -> Directive:
        known = self._verified.get((document, key))
        if known is None:
            known = self._verified[document, key] = parse(verify(document, key, KIND))
        return known

    def _refused(self, document: str, way: str, error: KurabakoError) -> None:
        self._record(REFUSED, {"way": way, **refusal_of(document, error)})
        # A clock or a key that is wrong today may be right tomorrow; then the same document is welcome.
        if not isinstance(error, (ClockUntrusted, KeyFileUnusable)):
            before = self._state().value(_REFUSED_BEFORE, [])
            self._state().set_value(_REFUSED_BEFORE, [*before, digest_of(document)][-_REMEMBERED:])

    def _remembered(self) -> tuple[DirectiveRecord, ...]:
        """What the memory has; a new memory is first told what the evidence knows of an earlier one."""
        if not self._begun():
            return tuple(map(_from_evidence, self._history(TAKEN)))
        state = self._state()
        if not state.value(_RECALLED, False):
            for known in self._history(TAKEN):
                state.add_directive(_from_evidence(known))
            state.set_value(_RECALLED, True)
        return state.directives()


def _from_evidence(known: Mapping[str, Any]) -> DirectiveRecord:
    received_at = datetime.fromisoformat(known["received_at"])
    return DirectiveRecord(int(known["number"]), str(known["document"]), received_at, str(known["way"]))


def taken_to_json(taken: Taken) -> dict[str, Any]:
    """What became of a directive, as JSON values."""
    recorded = taken.recorded
    return {
        "number": recorded.number,
        "kind": recorded.directive.kind.value,
        "contract_id": recorded.directive.contract_id,
        "way": recorded.way,
        "received_at": recorded.received_at.isoformat(),
        "effective_at": taken.effective_at.isoformat() if taken.effective_at else None,
        "contract_from": taken.contract_from.isoformat() if taken.contract_from else None,
        "irregular": [{"field": one.field, "why": str(one.why), "clause": one.clause} for one in taken.irregular],
    }
