"""What the page takes: with the operator code and not without it, and only from the box's own page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import requests

from appliance.errors import KurabakoError
from appliance.operator_code import TryLater
from appliance.status.board import Board
from appliance.status.model import TransfersMode, TransfersStatus
from appliance.text import T, Text
from appliance.web.app import Desks, create_app
from appliance.web.forms import LARGEST, OperatorDesk
from appliance.web.support import SupportDesk
from appliance.web.transfers import TransfersDesk
from tests.support.operator import CODE, desk
from tests.support.page import serve
from tests.support.status import NOW, TOKYO, simple_status


class NoRoom(KurabakoError):
    code = "test.no-room"


@dataclass
class Box:
    """What was done to it, each thing as a word; `broken`: nothing can be remembered."""

    done: list[str] = field(default_factory=list)
    broken: bool = False
    allowed: Text | None = None
    transfers: TransfersStatus = field(default_factory=TransfersStatus)

    def do(self, what: str) -> None:
        if self.broken:
            raise NoRoom(T("The state database cannot be used."))
        self.done.append(what)

    def desks(self, operator: OperatorDesk) -> Desks:
        return Desks(
            operator,
            TransfersDesk(lambda: self.transfers, lambda: self.do("stop"), lambda: self.do("resume")),
            SupportDesk(
                lambda: self.allowed, lambda by, minutes: self.do(f"{by} {minutes}"), lambda: self.do("end support")
            ),
        )


@contextmanager
def page_of(box: Box, operator: OperatorDesk) -> Iterator[str]:
    status = simple_status(transfers=box.transfers)
    with serve(create_app(Board(status), zone=TOKYO, desks=box.desks(operator))) as address:
        yield address


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def page(box: Box) -> Iterator[str]:
    with page_of(box, desk()) as address:
        yield address


def post(page: str, path: str, headers: dict[str, str] | None = None, **fields: str) -> requests.Response:
    sent = {"Origin": page, "Accept-Language": "en"} | (headers or {})
    return requests.post(page + path, fields, headers=sent, timeout=60)


FORMS = [
    ("/transfers", {"order": "stop"}, "stop"),
    ("/transfers", {"order": "resume"}, "resume"),
    ("/support", {"name": "花田", "minutes": "30"}, "花田 30"),
    ("/support", {"end": "1"}, "end support"),
]


@pytest.mark.parametrize(("path", "fields", "done"), FORMS)
def test_nothing_is_done_without_the_code(page: str, box: Box, path: str, fields: dict[str, str], done: str) -> None:
    for wrong in ({}, {"code": ""}, {"code": "ABCD-EFGH-JKLN"}):
        refused = post(page, path, **fields, **wrong)
        assert refused.status_code == 403
        assert "not right. Nothing was changed." in refused.text
        assert CODE not in refused.text
        assert not wrong.get("code") or wrong["code"] not in refused.text, "what was typed is not sent back"
    assert post(page, f"{path}?code={CODE}", **fields).status_code == 403, "in an address it would stand in logs"
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert post(page, path, headers, **fields, code=CODE).status_code == 403
    assert post(page, path, {"Content-Type": "text/plain"}, **fields, code=CODE).status_code == 403
    assert requests.get(page + path, {**fields, "code": CODE}, timeout=60).status_code == 200
    assert box.done == []
    assert post(page, path, **fields, code=CODE).status_code == 200
    assert box.done == [done]


@pytest.mark.parametrize(("path", "fields", "done"), FORMS)
def test_what_cannot_be_remembered_is_not_done_and_the_page_says_so(
    page: str, box: Box, path: str, fields: dict[str, str], done: str
) -> None:
    box.broken = True
    answer = post(page, path, **fields, code=CODE)
    assert answer.status_code == 503
    assert "The state database cannot be used." in answer.text


def test_what_makes_no_sense_is_refused_in_words(page: str, box: Box) -> None:
    for fields in ({}, {"order": "explode"}):
        assert post(page, "/transfers", code=CODE, **fields).status_code == 422
    for name, minutes in (
        ("", "30"),
        ("x" * 101, "30"),
        ("Hanada", ""),
        ("Hanada", "-1"),
        ("Hanada", "٣"),
        ("H", "1000"),
    ):
        assert post(page, "/support", code=CODE, name=name, minutes=minutes).status_code == 422
    assert post(page, "/support", code=CODE, name="x" * LARGEST, minutes="1").status_code == 413
    assert box.done == []


@pytest.mark.parametrize("path", ["/transfers", "/support"])
@pytest.mark.parametrize(("language", "words"), [("en", "has no operator code yet"), ("ja", "操作コードがない")])
def test_a_box_without_a_code_says_how_to_get_one_and_does_nothing(
    box: Box, path: str, language: str, words: str
) -> None:
    with page_of(box, desk(None)) as page:
        html = requests.get(f"{page}{path}?lang={language}", timeout=60).text
        assert words in html
        assert "kurabako operator-code --renew" in html
        assert "<form" not in html
        for code in ("", CODE):
            assert post(page, path, order="stop", name="Hanada", minutes="5", code=code).status_code == 403
    assert box.done == []


def test_who_tried_too_often_is_told_how_long_to_wait(box: Box) -> None:
    async def require(_: str, __: str) -> None:
        raise TryLater(7.2)

    with page_of(box, OperatorDesk(lambda: True, require)) as page:
        answer = post(page, "/transfers", order="stop", code=CODE)
    assert (answer.status_code, answer.headers["Retry-After"], box.done) == (429, "8", [])
    assert "Try again in 8 seconds." in answer.text


def test_the_page_says_at_its_top_whether_anything_is_sent(box: Box) -> None:
    since = NOW - timedelta(hours=2)
    for transfers, english, japanese in (
        (TransfersStatus(), "Sending to the cloud is on.", "クラウドへの送信：有効"),
        (
            TransfersStatus(TransfersMode.STOPPED, since),
            "All sending has been stopped since 2026-11-20 16:41.",
            "2026-11-20 16:41 から、送信をすべて停止しています。",
        ),
        (
            TransfersStatus(TransfersMode.PAUSED, since, NOW),
            "Sending is paused until 2026-11-20 18:41.",
            "2026-11-20 18:41 まで、送信を一時停止しています。",
        ),
    ):
        box.transfers = transfers
        with page_of(box, desk()) as page:
            for path in ("/", "/transfers"):
                assert english in requests.get(f"{page}{path}?lang=en", timeout=60).text
                assert japanese in requests.get(f"{page}{path}?lang=ja", timeout=60).text
            form = requests.get(f"{page}/transfers", timeout=60).text
            assert ('value="stop"' in form) is (transfers.mode is not TransfersMode.STOPPED)
            assert ('value="resume"' in form) is (transfers.mode is not TransfersMode.ON)


def test_a_language_that_is_chosen_on_a_form_stays_for_its_answer(page: str) -> None:
    session = requests.Session()
    session.headers["Accept-Language"] = "ja"
    assert 'lang="en"' in session.get(f"{page}/transfers?lang=en", timeout=60).text
    answer = session.post(f"{page}/transfers", {"order": "stop"}, headers={"Origin": page}, timeout=60)
    assert "The operator code is not right." in answer.text
