"""The kill switch on the page: all that is sent to the cloud and fetched from it stops, until it is let go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.status.model import TransfersStatus
from appliance.text import T
from appliance.web.forms import Fields, Form, OperatorDesk, Refused

PATH = "/transfers"


@dataclass(frozen=True)
class TransfersDesk:
    """`now` says whether transfers are held; `stop` and `resume` raise `KurabakoError` when it cannot be remembered."""

    now: Callable[[], TransfersStatus]
    stop: Callable[[], object]
    resume: Callable[[], object]


def transfers_form(desk: TransfersDesk, operator: OperatorDesk) -> Form:
    """The page that stops transfers, or lets them go on (`order`)."""

    async def decide(fields: Fields) -> None:
        match fields.get("order"):
            case "stop":
                desk.stop()
            case "resume":
                desk.resume()
            case _:
                raise Refused(422, T("The form says neither to stop nor to go on."))

    return Form(
        PATH, T("Stop or resume sending"), "transfers.html", decide, lambda: {"transfers": desk.now()}, operator
    )
