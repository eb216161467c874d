"""When a box takes a directive: it is this box's, the next one, and in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from appliance.contract.directive import Directive
from appliance.errors import KurabakoError
from appliance.text import T, Text

TOLERANCE = timedelta(minutes=5)
"""How far the provider's clock and the box's may be apart."""


class DirectiveRefused(KurabakoError):
    """A sound directive that this box does not take, or not now."""

    code = "directive.refused"

    def __init__(self, what: Text, todo: Text) -> None:
        super().__init__(what, safe=T("Nothing was changed."), todo=todo)


class ForAnotherBox(DirectiveRefused):
    """It is another box's, or of another contract."""

    code = "directive.wrong-box"


class Replayed(DirectiveRefused):
    """This very message was taken before."""

    code = "directive.replayed"


class Outdated(DirectiveRefused):
    """A later one was taken before."""

    code = "directive.older"


class TooLate(DirectiveRefused):
    """It should have arrived earlier."""

    code = "directive.expired"


class TooEarly(DirectiveRefused):
    """It was issued in the future, or the box's clock is slow."""

    code = "directive.not-yet-valid"


def require_takeable(directive: Directive, box: str, contract_id: str | None, now: datetime, highest: int) -> None:
    """Raises `ForAnotherBox`, `Outdated`, `TooEarly` or `TooLate` unless a box takes it at `now`, a trusted moment.

    `contract_id` is that of the entitlement in force (None: there is none yet), `highest` the highest number taken.
    """
    if directive.box != box:
        raise ForAnotherBox(
            T("This directive is for another box, {theirs}; this one is {ours}.", theirs=directive.box, ours=box),
            T("Ask your service provider for the directive of this box."),
        )
    if contract_id is not None and directive.contract_id != contract_id:
        raise ForAnotherBox(
            T(
                "This directive is about the contract {theirs}; this box keeps the contract {ours}.",
                theirs=directive.contract_id,
                ours=contract_id,
            ),
            T("Ask your service provider which contract is right; a new entitlement changes the contract."),
        )
    if directive.number <= highest:
        raise Outdated(
            T(
                "This directive has the number {number}, but number {highest} was already taken.",
                number=directive.number,
                highest=highest,
            ),
            T("Ask your service provider for a directive with a higher number."),
        )
    if directive.issued_at - now > TOLERANCE:
        raise TooEarly(
            T(
                "This directive was issued at {moment}; now it is {now}.",
                moment=_shown(directive.issued_at),
                now=_shown(now),
            ),
            T("Check the box's clock; if it is right, ask your service provider."),
        )
    if directive.valid_until is not None and now - directive.valid_until > TOLERANCE:
        raise TooLate(
            T("This directive could be taken until {moment} only.", moment=_shown(directive.valid_until)),
            T("Ask your service provider to sign it anew."),
        )


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
