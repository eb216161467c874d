from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests
from fastapi import APIRouter

from appliance.hookspecs import WebExtension
from appliance.status.board import Board
from appliance.status.codec import from_json
from appliance.status.model import CapacityStatus, Problem, Severity, State
from appliance.text import T, Text
from appliance.web.app import create_app
from appliance.web.events import Pace
from appliance.web.guard import Guard
from appliance.web.language import choose
from tests.support.page import serve
from tests.support.sample import sample_status
from tests.support.status import NOW, TOKYO, simple_status

router = APIRouter()


@router.get("/")
async def hello() -> dict[str, str]:
    return {"hello": "stranger"}


@pytest.fixture
def board() -> Board:
    return Board(sample_status())


@pytest.fixture
def page(board: Board) -> Iterator[str]:
    extensions = [WebExtension("stranger", router, T("Backups")), WebExtension("silent", APIRouter())]
    pace = Pace(interval=0.01, heartbeat=0.05, readers=3)
    with serve(create_app(board, extensions, hosts=["box.example.jp"], zone=TOKYO, pace=pace)) as address:
        yield address


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers={"Accept-Language": "", **headers}, timeout=60)


def events(response: requests.Response) -> Iterator[tuple[str, dict[str, object]]]:
    """The events of a stream, as a browser reads them."""
    name, data = "message", ""
    for line in response.iter_lines(chunk_size=1, decode_unicode=True):
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            data = value
        elif not line:
            if name != "message":
                yield name, json.loads(data) if data else {}
            name, data = "message", ""


def listen(page: str, **headers: str) -> requests.Response:
    return requests.get(f"{page}/api/events", headers=headers, stream=True, timeout=60)


def test_the_page_says_how_the_box_is(page: str) -> None:
    html = get(page).text
    assert '<html lang="ja" data-state="warning">' in html
    for words in (
        "注意",
        "総務部の共有フォルダー",
        "421,806,551,040 バイト",
        "2026-11-20 18:41",
        "restic -r s3:https://s3.example.jp/kurabako-00417/office snapshots",
    ):
        assert words in html, words
    assert "were backed up" not in html, "the sample's sentences are those of the box, so they are translated"


def test_the_page_says_where_the_capacity_is_agreed(page: str, board: Board) -> None:
    capacity = CapacityStatus(500_000_000_000, 0, 1_000_000_000)
    board.publish(simple_status(capacity=capacity))
    assert "the settings of the box" in get(f"{page}/?lang=en").text
    board.publish(simple_status(capacity=replace(capacity, contract="C-<1>")))
    assert "contract C-&lt;1&gt;, signed by the provider" in get(f"{page}/?lang=en").text
    assert "契約 C-&lt;1&gt;（事業者の署名済み）" in get(f"{page}/?lang=ja").text


def test_every_state_can_be_shown(page: str, board: Board) -> None:
    for state in State:
        board.publish(simple_status(state))
        for language in ("ja", "en"):
            assert f'data-state="{state}"' in get(f"{page}/?lang={language}").text
        assert get(f"{page}/icon/{state}.svg").headers["Content-Type"].startswith("image/svg+xml")
    assert get(f"{page}/icon/happy.svg").status_code == 422


def test_the_language_is_the_readers(page: str) -> None:
    assert 'lang="en"' in get(page, **{"Accept-Language": "fr, en-US;q=0.8, ja;q=0.3"}).text[:60]
    session = requests.Session()
    session.headers["Accept-Language"] = "en"
    chosen = session.get(f"{page}/?lang=ja", timeout=60)
    assert re.search("lang=ja;.*HttpOnly.*SameSite=lax", chosen.headers["Set-Cookie"])
    assert '<html lang="ja"' in session.get(page, timeout=60).text, "and it is remembered"
    assert "Set-Cookie" not in get(page).headers, "otherwise there is no cookie"
    assert "Set-Cookie" not in get(f"{page}/?lang=xx").headers


@pytest.mark.parametrize(
    ("query", "cookie", "accept", "expected"),
    [
        ("en", "ja", "ja", "en"),
        (None, "en", "ja", "en"),
        ("xx", "yy", "en", "en"),
        (None, None, "en;q=0.1, ja;q=0.9", "ja"),
        (None, None, "en;q=0", "ja"),
        (None, None, "en;q=lots", "ja"),
        (None, None, "de, fr", "ja"),
        (None, None, None, "ja"),
        (None, None, "EN-gb", "en"),
    ],
)
def test_languages_are_chosen_as_browsers_ask(query: str, cookie: str, accept: str, expected: str) -> None:
    assert choose(query, cookie, accept, "ja") == expected


def test_what_comes_from_outside_is_text_and_never_markup(page: str, board: Board) -> None:
    evil = "<script>alert(1)</script>"
    board.publish(
        simple_status(reason=evil, problems=(Problem("x", Severity.FAULT, Text(evil), NOW, safe=Text(evil)),))
    )
    assert evil not in get(page).text
    assert "&lt;script&gt;" in get(page).text


def test_moments_in_sentences_are_not_torn_apart(page: str, board: Board) -> None:
    board.publish(simple_status(reason="Since <2026-11-20 09:41>."))
    assert 'Since &lt;<span class="nowrap">2026-11-20 09:41</span>&gt;.' in get(page).text


def test_a_name_that_is_not_unicode_breaks_nothing(page: str, board: Board) -> None:
    board.publish(simple_status(reason="caf\udce9"))
    assert "caf?" in get(page).text
    assert get(f"{page}/api/status?lang=en").json()["reason"] == "caf?"
    assert from_json(get(f"{page}/api/status").json()) == board.current()


def test_the_status_is_there_as_json(page: str, board: Board) -> None:
    assert from_json(get(f"{page}/api/status").json()) == board.current()
    assert get(f"{page}/api/status?lang=en").json()["reason"] == board.current().reason.render("en")
    assert get(f"{page}/api/status?lang=xx").status_code == 400


def test_health_and_openapi(page: str) -> None:
    assert get(f"{page}/healthz").text == "ok\n"
    paths = get(f"{page}/api/openapi.json").json()["paths"]
    assert {"/", "/api/status", "/api/events", "/healthz"} <= set(paths)
    assert {method for path in paths.values() for method in path} == {"get"}
    assert get(f"{page}/docs").status_code == 404, "it would load scripts from elsewhere"


def test_plugins_have_pages_of_their_own_and_are_linked(page: str) -> None:
    assert get(f"{page}/x/stranger/").json() == {"hello": "stranger"}
    html = get(f"{page}/?lang=en").text
    assert 'href="/x/stranger/">Backups<' in html
    assert "/x/silent/" not in html, "without a title there is no link"


def test_every_answer_carries_the_guards_headers(page: str) -> None:
    for path in ("/", "/api/status", "/static/page.js", "/static/page.css", "/x/stranger/", "/nothing"):
        headers = get(page + path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    html = get(page).text
    assert not re.search(r"\son\w+=|\sstyle=|<script(?![^>]* src=)|<style", html), "the policy would block it"
    assert not re.search(r"(src|href)=.(https?:)?//", html), "nothing comes from elsewhere"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_nothing_can_be_changed_through_the_page(page: str, method: str) -> None:
    for path in ("/", "/api/status", "/x/stranger/"):
        assert requests.request(method, page + path, timeout=60).status_code == 405


@pytest.mark.parametrize(
    "host",
    [
        "192.168.10.20", "192.168.10.20:8080", "[fe80::1]:8080", "[::1]", "localhost", "localhost:80",
        "kurabako.local", "KURABAKO.LOCAL.:8080", "box.example.jp", socket.gethostname(),
    ],
)  # fmt: skip
def test_the_box_answers_to_its_own_names(page: str, host: str) -> None:
    assert get(f"{page}/healthz", Host=host).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "192.168.10.20.evil.example", "local", "[x]"]
)
def test_and_to_no_other(page: str, host: str) -> None:
    for path in ("/", "/api/status", "/api/events", "/static/page.js"):
        assert get(page + path, Host=host).status_code == 421


def test_a_request_without_a_host_is_refused() -> None:
    assert not Guard(create_app(Board(simple_status()))).allows("")


def test_a_change_arrives_as_the_parts_that_changed(page: str, board: Board) -> None:
    with listen(page, **{"Accept-Language": "en"}) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        stream = events(response)
        name, first = next(stream)
        assert name == "status"
        assert isinstance(first["parts"], dict)
        assert {"state", "jobs", "capacity"} <= set(first["parts"])
        board.publish(simple_status(State.FAULT, "The cat is in the disk."))
        changed = next(data for name, data in stream if name == "status")
        assert changed["state"] == "fault"
        assert changed["title"] == "Fault – box"
        assert isinstance(changed["parts"], dict)
        assert "The cat is in the disk." in changed["parts"]["state"]
        board.publish(simple_status(State.WARNING, "The cat is out."))
        changed = next(data for name, data in stream if name == "status")
        assert isinstance(changed["parts"], dict)
        assert set(changed["parts"]) == {"state"}
        assert any(name == "heartbeat" for name, _ in stream), "silence has a sound"


def test_the_stream_ends_when_the_box_stops(page: str, board: Board) -> None:
    with listen(page) as response:
        board.publish(simple_status(State.STOPPING))
        assert [data["state"] for name, data in events(response) if name == "status"][-1] == "stopping"


def test_the_number_of_open_pages_is_bounded_and_closed_ones_make_room(page: str) -> None:
    opened = [listen(page) for _ in range(3)]
    streams = [events(response) for response in opened]
    assert [next(stream)[0] for stream in streams] == ["status"] * 3, "all three are served"
    refused = listen(page)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "30")
    opened.pop().close()
    for _ in range(1000):
        again = listen(page)
        if again.status_code == 200:
            break
    assert again.status_code == 200
    for response in (*opened, again):
        response.close()


def test_the_server_ends_with_pages_open(board: Board) -> None:
    with serve(create_app(board)) as address:
        sock = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
        sock.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 200"
    sock.close()
