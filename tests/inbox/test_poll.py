"""Asking for directives, against a real HTTPS server on loopback; the clock is passed in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from appliance.inbox import LARGEST_LIST, MOST, Poll, PollFailed, documents
from appliance.inbox.poll import LONGEST_PAUSE
from tests.support.authority import Authority

NOW = datetime(2026, 6, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


@dataclass
class Control:
    """The provider's server: what it answers with, and what it was asked."""

    status: int = 200
    body: bytes = b"one.two.three\n"
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    ca_file: Path | None = None


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    state = Control()
    authority = Authority(tmp_path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(dict(self.headers))
            same = state.headers.get("ETag") and self.headers.get("If-None-Match") == state.headers["ETag"]
            self.send_response(304 if same else state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            body = b"" if same else state.body
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = authority.server().wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    state.url = f"https://127.0.0.1:{server.server_port}/boxes/1"
    state.ca_file = authority.file
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


def polling(control: Control, clock: Clock) -> Poll:
    return Poll(control.url, every=QUARTER, clock=clock, ca_file=control.ca_file, chance=lambda: 0.5)


def test_it_asks_for_news_only_and_as_often_as_it_is_to(control: Control) -> None:
    clock = Clock()
    poll = polling(control, clock)
    control.headers = {"ETag": '"1"'}
    control.body = b"# two of them\r\none.two.three\r\n\r\nfour.five.six"
    assert poll.ask() == ["one.two.three", "four.five.six"]
    assert poll.next_at == NOW + QUARTER
    assert poll.ask() == []
    assert control.asked[1]["If-None-Match"] == '"1"'
    poll.forget()
    assert len(poll.ask()) == 2


def test_each_failure_makes_the_pause_longer_up_to_a_limit_and_success_ends_it(control: Control) -> None:
    clock = Clock()
    poll = polling(control, clock)
    control.status = 500
    pauses = []
    for _ in range(12):
        with pytest.raises(PollFailed, match="500"):
            poll.ask()
        pauses.append(poll.next_at - clock.now)
    assert pauses[:3] == [timedelta(minutes=minutes) for minutes in (1, 2, 4)]
    assert pauses[-1] == LONGEST_PAUSE
    control.status = 200
    poll.ask()
    assert poll.next_at == NOW + QUARTER


@pytest.mark.parametrize("asked", ["1800", format_datetime(NOW + timedelta(minutes=30), usegmt=True)])
def test_a_server_may_ask_for_a_longer_pause(control: Control, asked: str) -> None:
    poll = polling(control, Clock())
    control.status, control.headers = 503, {"Retry-After": asked}
    with pytest.raises(PollFailed):
        poll.ask()
    assert poll.next_at == NOW + timedelta(minutes=30)
    control.headers = {"Retry-After": "99999999"}
    with pytest.raises(PollFailed):
        poll.ask()
    assert poll.next_at <= NOW + LONGEST_PAUSE


@pytest.mark.parametrize("asked", ["9" * 5000, "Sat, 21 Nov 2026 08:10:" + "9" * 30, "soon"])
def test_a_pause_that_makes_no_sense_is_not_asked_for(control: Control, asked: str) -> None:
    poll = polling(control, Clock())
    control.status, control.headers = 503, {"Retry-After": asked}
    with pytest.raises(PollFailed):
        poll.ask()
    assert NOW < poll.next_at <= NOW + LONGEST_PAUSE


def test_what_is_too_much_or_leads_elsewhere_is_not_taken(control: Control) -> None:
    poll = polling(control, Clock())
    control.body = b"x" * (LARGEST_LIST + 1)
    with pytest.raises(PollFailed, match="larger"):
        poll.ask()
    control.status, control.headers = 302, {"Location": control.url}
    with pytest.raises(PollFailed, match="302"):
        poll.ask()
    assert len(control.asked) == 2, "no redirection is followed"


def test_a_server_nobody_vouches_for_or_that_is_not_there_is_told_by_a_sentence(control: Control) -> None:
    with pytest.raises(PollFailed, match="SSLError"):
        Poll(control.url, every=QUARTER, clock=Clock()).ask()
    with pytest.raises(PollFailed, match="ConnectionError"):
        Poll("https://127.0.0.1:1/", every=QUARTER, clock=Clock()).ask()


def test_a_list_has_a_bound() -> None:
    assert len(documents(b"a.b.c\n" * (MOST + 5))) == MOST
    assert documents(b"\xff\xfe") == ["\N{REPLACEMENT CHARACTER}" * 2]
