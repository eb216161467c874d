"""The form of the consent to remote support, where the box cannot remember it."""

from __future__ import annotations

import requests

from appliance.errors import KurabakoError
from appliance.status.board import Board
from appliance.text import T
from appliance.web.app import create_app
from appliance.web.support import SupportDesk
from tests.support.page import serve
from tests.support.status import simple_status


class NoRoom(KurabakoError):
    code = "test.no-room"


def test_a_consent_that_cannot_be_remembered_is_not_given_and_the_page_says_so() -> None:
    def fail(*_: object) -> None:
        raise NoRoom(T("The state database cannot be used."))

    desk = SupportDesk(lambda: None, fail, fail)
    with serve(create_app(Board(simple_status()), support=desk)) as address:
        for form in ({"name": "Hanada", "minutes": "5"}, {"end": "1"}):
            answer = requests.post(
                f"{address}/support", form, headers={"Origin": address, "Accept-Language": "en"}, timeout=10
            )
            assert answer.status_code == 503
            assert "The state database cannot be used." in answer.text
