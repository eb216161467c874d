"""What everybody on the LAN may read of the contract: that the service is suspended or over, and not why.

The page asks nobody who they are. A stated reason (unpaid fees, say) and the clause that tells it by its number are for
the administrator, by mail, command and serial console; so is what the provider writes.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from appliance.contract.box_state import ENDED, REASONED, SUSPENDED
from appliance.daemon.standing import NOTICE
from appliance.status.model import ContractEvent, ContractStatus, Status
from appliance.status.public import public
from appliance.text import T, Text

_Shown = TypeVar("_Shown")

_WITH_CLAUSE = {one.message for one in (*SUSPENDED, ENDED)}
"""What stands beside a clause that tells the reason."""

_HEARD = T("The provider has written to the administrator of this box.")


def on_page(status: Status) -> Status:
    """The Status without reasons, and without the sources that are kept off the page."""
    shown = public(status)
    return shown if shown.contract is None else _discreet(shown)


def _discreet(shown: _Shown) -> _Shown:
    value: Any = shown
    if isinstance(value, Text):
        return _said(value)  # type: ignore[return-value]
    if isinstance(value, tuple):
        return tuple(map(_discreet, value))  # type: ignore[return-value]
    if isinstance(value, ContractEvent) and _tells(value.what):
        return replace(value, what=_said(value.what), clause="")  # type: ignore[return-value]
    if isinstance(value, ContractStatus) and value.reason is not None and _tells(value.reason):
        value = replace(value, clause="")
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: _discreet(getattr(value, one.name)) for one in fields(value) if one.init})  # type: ignore[return-value]
    return shown


def _said(text: Text) -> Text:
    if text.message == REASONED.message:
        return _said(text.values["what"])
    if text.message == NOTICE.message:
        return _HEARD
    inner = {name: _said(value) if isinstance(value, Text) else value for name, value in text.values.items()}
    why = text.values.get("why")
    if "clause" in text.values and isinstance(why, Text) and _tells(why):
        return inner["why"]
    return Text(text.message, inner) if inner != text.values else text


def _tells(text: Text) -> bool:
    """Whether the clause beside it, or it itself, tells a reason."""
    return text.message == REASONED.message or text.message in _WITH_CLAUSE
