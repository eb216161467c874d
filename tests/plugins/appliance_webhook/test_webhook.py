"""The webhook, against a real HTTP server on loopback."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from appliance.hookspecs import PluginContext
from appliance.plugins import PluginManager
from appliance.settings import SecretFile
from appliance.status.model import Severity
from appliance.status.outputs import Notice
from appliance.text import T, Text, add_catalogues
from appliance_webhook.channel import LONGEST_TEXT, WebhookChannel, WebhookFailed
from appliance_webhook.settings import WebhookSettings

SECRET_PATH = "/hooks/T0P-S3CRET"


@dataclass
class Receiver:
    """An HTTP server that keeps what it is sent and answers with `status`."""

    status: int = 200
    silent: threading.Event | None = None
    received: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.received.append((dict(self.headers), json.loads(body)))
            if state.silent is not None:
                state.silent.wait(30)
            self.send_response(state.status)
            if 300 <= state.status < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}{SECRET_PATH}"
    yield state
    if state.silent is not None:
        state.silent.set()
    server.shutdown()
    server.server_close()


def notice(body: Text | None = None) -> Notice:
    return Notice(
        box="kura1",
        code="capacity.warning",
        severity=Severity.WARNING,
        subject=T("it cannot be reached"),
        body=body or T("The disk is {share} % full.", share=80),
        at=datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC),
    )


def test_a_notice_arrives_as_json_in_both_languages(receiver: Receiver) -> None:
    import appliance_webhook

    add_catalogues(Path(appliance_webhook.__file__).parent / "locale")
    WebhookChannel(WebhookSettings(url=receiver.url)).send(notice())
    ((headers, document),) = receiver.received
    assert headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers
    assert document == {
        "box": "kura1",
        "code": "capacity.warning",
        "severity": "warning",
        "at": "2026-11-20T01:02:03+00:00",
        "subject": {"ja": "接続できません", "en": "it cannot be reached"},
        "body": {"ja": "The disk is 80 % full.", "en": "The disk is 80 % full."},
    }


def test_the_token_is_sent_and_never_shown(receiver: Receiver, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cr3t-t0ken\n")
    token.chmod(0o600)
    settings = WebhookSettings(url=receiver.url, token_file=SecretFile(str(token)))
    receiver.status = 403
    with pytest.raises(WebhookFailed) as caught:
        WebhookChannel(settings).send(notice())
    assert receiver.received[0][0]["Authorization"] == "Bearer s3cr3t-t0ken"
    shown = f"{caught.value} {caught.value!r} {settings!r}"
    assert "s3cr3t-t0ken" not in shown
    assert SECRET_PATH not in str(caught.value)


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_answer_but_2xx_is_an_error_with_the_status(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(WebhookFailed, match=f"127.0.0.1: it answered with the HTTP status {status}"):
        WebhookChannel(WebhookSettings(url=receiver.url)).send(notice())
    assert len(receiver.received) == 1


def test_a_server_that_does_not_answer_is_given_up(receiver: Receiver) -> None:
    receiver.silent = threading.Event()
    with pytest.raises(WebhookFailed, match=r"did not answer within 0\.2 s"):
        WebhookChannel(WebhookSettings(url=receiver.url, timeout=0.2)).send(notice())


def test_a_server_that_is_not_there_is_an_error() -> None:
    with socket.socket() as taken_but_deaf:
        taken_but_deaf.bind(("127.0.0.1", 0))
        channel = WebhookChannel(WebhookSettings(url=f"http://127.0.0.1:{taken_but_deaf.getsockname()[1]}/"))
        with pytest.raises(WebhookFailed, match="cannot be reached"):
            channel.send(notice())


def test_a_token_that_is_no_header_is_an_error_without_it(receiver: Receiver, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("two\nlines\n")
    token.chmod(0o600)
    settings = WebhookSettings(url=receiver.url, token_file=SecretFile(str(token)))
    with pytest.raises(WebhookFailed) as caught:
        WebhookChannel(settings).send(notice())
    assert "two" not in str(caught.value)
    assert receiver.received == []


def test_long_texts_are_cut(receiver: Receiver) -> None:
    WebhookChannel(WebhookSettings(url=receiver.url)).send(notice(body=T("{long}", long="長" * 10_000)))
    assert len(receiver.received[0][1]["body"]["ja"]) == LONGEST_TEXT


@pytest.mark.parametrize(
    "url",
    ["ftp://example.jp/", "http://example.jp/", "https://", "example.jp", "https://a:b@example.jp/", "http://[::1"],
)
def test_addresses_that_make_no_sense_or_would_tell_the_world_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        WebhookSettings(url=url)


@pytest.mark.parametrize("url", ["https://example.jp/a", "http://192.168.1.3/", "http://nas:8080/", "http://a.local/"])
def test_https_anywhere_and_http_on_the_lan_are_accepted(url: str) -> None:
    assert WebhookSettings(url=url).url == url


def test_the_box_finds_the_channel_where_a_url_is_set(receiver: Receiver, tmp_path: Path) -> None:
    manager = PluginManager.load()
    for url, names in ((None, []), (receiver.url, ["webhook 127.0.0.1"])):
        context: PluginContext = manager.context({"webhook": WebhookSettings(url=url)}, tmp_path, tmp_path)
        found = [channel for channel in manager.channels(context) if channel.name.startswith("webhook")]
        assert [channel.name for channel in found] == names
    found[0].send(notice())
    assert receiver.received[0][1]["box"] == "kura1"
