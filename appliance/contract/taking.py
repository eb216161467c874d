"""When a box takes a document that its provider signed: it is this box's, the next one, and in time.

The same for every kind of document; an error's code begins with the kind's own word (`contract.older`,
`directive.older`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from appliance.contract.directive import Directive
from appliance.contract.entitlement import Entitlement
from appliance.errors import KurabakoError
from appliance.text import T, Text

TOLERANCE = timedelta(minutes=5)
"""How far the provider's clock and the box's may be apart."""


class Signed(StrEnum):
    """The kinds of signed documents, by the first word of their errors' codes."""

    ENTITLEMENT = "contract"
    DIRECTIVE = "directive"


_NAMES = {Signed.ENTITLEMENT: T("entitlement"), Signed.DIRECTIVE: T("directive")}


class NotTaken(KurabakoError):
    """A sound document that this box does not take, or not now."""

    reason = "refused"

    def __init__(self, kind: Signed, what: Text, todo: Text) -> None:
        super().__init__(what, safe=T("Nothing was changed."), todo=todo)
        self.code = f"{kind.value}.{self.reason}"


class WrongBox(NotTaken):
    """It is another box's, or of another contract."""

    reason = "wrong-box"


class Replayed(NotTaken):
    """This very document was taken before."""

    reason = "replayed"


class Older(NotTaken):
    """A later one is, or was, taken."""

    reason = "older"


class NotYetValid(NotTaken):
    """It is not to be taken yet, or the box's clock is slow."""

    reason = "not-yet-valid"


class Expired(NotTaken):
    """It should have arrived earlier."""

    reason = "expired"


@dataclass(frozen=True)
class _Paper:
    """What a document says about who takes it, and when."""

    kind: Signed
    box: str
    number: int
    begins: datetime
    until: datetime | None


def require_for(entitlement: Entitlement, box: str) -> None:
    """Raises `WrongBox` unless the entitlement is for the box with this ID."""
    _require_box(_paper(entitlement), box)


def require_installable(entitlement: Entitlement, now: datetime, highest_serial: int) -> None:
    """Raises `Expired`, `NotYetValid` or `Older` unless it may be put in force at `now`, a moment that is trusted."""
    _require_next(_paper(entitlement), now, highest_serial)


def require_takeable(directive: Directive, box: str, contract_id: str | None, now: datetime, highest: int) -> None:
    """Raises `WrongBox`, `Older`, `NotYetValid` or `Expired` unless a box takes it at `now`, a trusted moment.

    `contract_id` is that of the entitlement in force (None: there is none yet), `highest` the highest number taken.
    """
    paper = _Paper(Signed.DIRECTIVE, directive.box, directive.number, directive.issued_at, directive.valid_until)
    _require_box(paper, box)
    if contract_id is not None and directive.contract_id != contract_id:
        raise WrongBox(
            Signed.DIRECTIVE,
            T(
                "This directive is about the contract {theirs}; this box keeps the contract {ours}.",
                theirs=directive.contract_id,
                ours=contract_id,
            ),
            T("Ask your service provider which contract is right; a new entitlement changes the contract."),
        )
    _require_next(paper, now, highest)


def _paper(entitlement: Entitlement) -> _Paper:
    begins = max(entitlement.issued_at, entitlement.valid_from or entitlement.issued_at)
    return _Paper(Signed.ENTITLEMENT, entitlement.box, entitlement.serial, begins, entitlement.valid_until)


def _require_box(paper: _Paper, box: str) -> None:
    if paper.box == box:
        return
    name = _NAMES[paper.kind]
    raise WrongBox(
        paper.kind,
        T(
            "This {document} is for another box, {theirs}; this one is {ours}.",
            document=name,
            theirs=paper.box,
            ours=box,
        ),
        T("Ask your service provider for the {document} of this box.", document=name),
    )


def _require_next(paper: _Paper, now: datetime, highest: int) -> None:
    name = _NAMES[paper.kind]
    if paper.number <= highest:
        raise Older(
            paper.kind,
            T(
                "This {document} has the number {number}, but number {highest} was already taken.",
                document=name,
                number=paper.number,
                highest=highest,
            ),
            T("Ask your service provider for one with a higher number."),
        )
    if paper.begins - now > TOLERANCE:
        moments = {"moment": _shown(paper.begins), "now": _shown(now)}
        raise NotYetValid(
            paper.kind,
            T("This {document} is valid from {moment} on; now it is {now}.", document=name, **moments),
            T("Check the box's clock; if it is right, try again at that time."),
        )
    if paper.until is not None and now - paper.until > TOLERANCE:
        raise Expired(
            paper.kind,
            T("This {document} could be taken until {moment} only.", document=name, moment=_shown(paper.until)),
            T("Ask your service provider to sign it anew."),
        )


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
