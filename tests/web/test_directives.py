"""Handing a directive in on the page: only there, only so much, and only from the box's own page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import requests

from appliance.errors import KurabakoError
from appliance.status.board import Board
from appliance.text import T, Text
from appliance.web.app import Desks, create_app
from appliance.web.directives import LARGEST_FORM, TRIES
from tests.support.operator import desk
from tests.support.page import serve
from tests.support.sample import sample_status


@dataclass
class Box:
    """What takes documents; it refuses those that say so."""

    taken: list[str] = field(default_factory=list)

    async def take(self, document: str) -> Text:
        if document == "bad":
            raise KurabakoError(T("It is not the provider's <b>."), safe=T("Nothing was changed."))
        self.taken.append(document)
        return T("Directive {number} ({kind}) was taken.", number=1, kind="Notice")


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def page(box: Box) -> Iterator[str]:
    with serve(create_app(Board(sample_status()), desks=Desks(desk(), directive=box.take))) as address:
        yield address


def hand_in(page: str, headers: dict[str, str] | None = None, **parts: str) -> requests.Response:
    form = {name: ("1.jws" if name == "file" else None, value) for name, value in parts.items()}
    sent = {"Accept-Language": "en"} | (headers or {})
    return requests.post(f"{page}/directives", files=form, headers=sent, timeout=60)


def test_the_page_links_to_a_form_in_both_languages(page: str) -> None:
    assert 'href="/directives"' in requests.get(page, timeout=60).text
    english = requests.get(f"{page}/directives?lang=en", timeout=60)
    assert "Hand in a directive" in english.text
    assert "指示書を渡す" in requests.get(f"{page}/directives?lang=ja", timeout=60).text
    assert "form-action 'self'" in english.headers["Content-Security-Policy"]


@pytest.mark.parametrize("parts", [{"file": "a.b.c\n", "document": ""}, {"file": "", "document": " a.b.c "}])
def test_a_file_or_its_text_is_taken(page: str, box: Box, parts: dict[str, str]) -> None:
    answer = hand_in(page, **parts)
    assert (answer.status_code, box.taken) == (200, ["a.b.c"])
    assert "Directive 1 (Notice) was taken." in answer.text


def test_a_refusal_is_a_sentence_and_nothing_of_it_is_markup(page: str) -> None:
    answer = hand_in(page, document="bad")
    assert answer.status_code == 422
    assert "not the provider&#39;s &lt;b&gt;. Nothing was changed." in answer.text


def test_only_the_boxs_own_page_may_hand_in(page: str, box: Box) -> None:
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert hand_in(page, headers, document="a.b.c").status_code == 403
    assert hand_in(page, {"Host": "evil.example"}, document="a.b.c").status_code == 421
    assert box.taken == []
    assert hand_in(page, {"Origin": page, "Sec-Fetch-Site": "same-origin"}, document="a.b.c").status_code == 200


def test_nothing_too_large_empty_or_of_another_form_is_taken(page: str, box: Box) -> None:
    assert hand_in(page, document="x" * (LARGEST_FORM + 1)).status_code == 413
    assert hand_in(page, document="").status_code == 400
    for content_type in ("application/x-www-form-urlencoded", "application/json", "multipart/form-data"):
        answer = requests.post(
            f"{page}/directives", b"document=a.b.c", headers={"Content-Type": content_type}, timeout=60
        )
        assert answer.status_code == 400
    assert box.taken == []


def test_so_many_forms_and_no_more(page: str, box: Box) -> None:
    codes = [hand_in(page, document="bad").status_code for _ in range(TRIES + 1)]
    assert codes == [422] * TRIES + [429]
    assert hand_in(page, document="a.b.c").status_code == 429
    assert box.taken == []


def test_a_page_without_it_only_shows() -> None:
    with serve(create_app(Board(sample_status()))) as address:
        assert requests.get(f"{address}/directives", timeout=60).status_code == 404
        assert hand_in(address, document="a.b.c").status_code == 405
        assert "/directives" not in requests.get(address, timeout=60).text
