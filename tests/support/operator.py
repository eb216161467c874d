"""The operator's desk of a page in a test, and the operator code of a box under test."""

from __future__ import annotations

from appliance.operator_code import NoOperatorCode, WrongOperatorCode
from appliance.status.model import TransfersStatus
from appliance.text import T, Text
from appliance.web.app import Desks
from appliance.web.forms import OperatorDesk
from appliance.web.support import SupportDesk
from appliance.web.transfers import TransfersDesk
from tests.support.daemon import BoxUnderTest

CODE = "ABCD-EFGH-JKLM"


def desk(code: str | None = CODE) -> OperatorDesk:
    """A desk that lets in whoever knows the code; None: there is none."""

    async def require(given: str, who: str) -> None:
        assert who == "127.0.0.1"
        if code is None:
            raise NoOperatorCode
        if given != code:
            raise WrongOperatorCode

    return OperatorDesk(lambda: code is not None, require)


def all_desks(transfers: TransfersStatus) -> Desks:
    """Everything that a page can take, of a box that does nothing."""

    async def take(_: str) -> Text:
        return T("Nothing was changed.")

    nothing = SupportDesk(lambda: None, lambda *_: None, lambda: None)
    return Desks(desk(), TransfersDesk(lambda: transfers, lambda: None, lambda: None), nothing, take)


def new_code(box: BoxUnderTest) -> str:
    """A new operator code of the box."""
    code: str = box.json("operator-code", "--renew")["code"]
    return code
