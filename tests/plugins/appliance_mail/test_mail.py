"""Mail, against a real mail server with TLS on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from pydantic import ValidationError

from appliance.hookspecs import PluginContext
from appliance.status.model import Severity
from appliance.status.outputs import Notice
from appliance.text import Text
from appliance_mail import notification_channels
from appliance_mail.channel import MailChannel, MailFailed
from appliance_mail.settings import MailSettings
from tests.support.authority import Authority
from tests.support.ports import free_port

NOTICE = Notice(
    "kura1",
    "capacity.reached",
    Severity.ATTENTION,
    Text("{box}: full\r\nBcc: someone@example.com", {"box": "蔵"}),
    Text("{line}", {"line": "ファイル \udcff が多すぎます。"}),
    datetime(2026, 6, 1, tzinfo=UTC),
    to=("admin@example.co.jp",),
)
USER, PASSWORD = "box", "p4ss-word"


class Post:
    """The mail server: what it took, from whom and for whom."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, list[str], EmailMessage]] = []
        self.refuses: set[str] = set()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuses:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.taken.append((envelope.mail_from, envelope.rcpt_tos, message))
        return "250 taken"


def authenticated(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (USER.encode(), PASSWORD.encode()))


class Served(Controller):
    """The server on a free port; `security` as the settings have it."""

    def __init__(self, post: Post, authority: Authority, security: str) -> None:
        self._tls, self._security = authority.server(), security
        super().__init__(post, "127.0.0.1", free_port(), ssl_context=self._tls if security == "tls" else None)

    def factory(self) -> SMTP:
        starttls = self._security == "starttls"
        return SMTP(
            self.handler,
            hostname="mail.example",
            tls_context=self._tls if starttls else None,
            require_starttls=starttls,
            authenticator=authenticated,
            auth_require_tls=starttls,
        )


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture(params=["tls", "starttls"])
def served(request: pytest.FixtureRequest, post: Post, tmp_path: Path) -> Iterator[dict[str, Any]]:
    authority = Authority(tmp_path)
    server = Served(post, authority, request.param)
    server.start()
    yield {
        "server": "127.0.0.1",
        "port": server.port,
        "security": request.param,
        "sender": "kura@example.jp",
        "ca_file": authority.file,
        "timeout": 5,
    }
    server.stop()


def channel(settings: dict[str, Any], **changes: Any) -> MailChannel:
    return MailChannel(MailSettings.model_validate(settings | changes))


def test_a_notice_reaches_the_registered_contact_and_those_of_the_settings(served: dict[str, Any], post: Post) -> None:
    channel(served, to=["field@example.jp", "admin@example.co.jp"]).send(NOTICE)
    ((sender, recipients, message),) = post.taken
    assert sender == "kura@example.jp"
    assert recipients == ["admin@example.co.jp", "field@example.jp"], "each once"
    assert message["Subject"] == "蔵: full Bcc: someone@example.com", "one line, no header of its own"
    assert message["Bcc"] is None
    assert message["X-Kurabako-Code"] == "capacity.reached"
    assert message.get_content().strip() == "ファイル ? が多すぎます。"


def test_without_a_recipient_nothing_is_sent(served: dict[str, Any], post: Post) -> None:
    channel(served, registered=False).send(NOTICE)
    assert post.taken == []


def test_a_user_and_a_password_are_used_and_never_told(served: dict[str, Any], post: Post, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    channel(served, username=USER, password_file=str(secret)).send(NOTICE)
    assert len(post.taken) == 1
    for wrong in ("wrong-one", "鍵-wrong-one"):
        secret.write_text(wrong)
        with pytest.raises(MailFailed) as caught:
            channel(served, username=USER, password_file=str(secret)).send(NOTICE)
        assert "wrong-one" not in f"{caught.value!r} {caught.value}"


def test_a_refused_recipient_is_a_failure(served: dict[str, Any], post: Post) -> None:
    post.refuses = {"admin@example.co.jp"}
    with pytest.raises(MailFailed):
        channel(served).send(NOTICE)
    with pytest.raises(MailFailed, match="1 of the recipients"):
        channel(served, to=["field@example.jp"]).send(NOTICE)


def test_a_server_nobody_vouches_for_is_told_nothing(served: dict[str, Any], post: Post) -> None:
    with pytest.raises(MailFailed, match="encrypted"):
        channel(served, ca_file=None).send(NOTICE)
    assert post.taken == []


def test_a_server_that_is_not_there_or_silent_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        settings = {"server": "127.0.0.1", "port": port, "sender": "k@example.jp", "timeout": 1}
        with pytest.raises(MailFailed, match=r"127\.0\.0\.1"):
            channel(settings).send(NOTICE)
    with pytest.raises(MailFailed):
        channel(settings).send(NOTICE)


def test_there_is_a_channel_only_with_a_server(tmp_path: Path) -> None:
    def channels(**settings: Any) -> list[Any]:
        context = PluginContext({"mail": MailSettings(**settings)}, tmp_path, tmp_path)
        return list(notification_channels(context))

    assert channels() == []
    (one,) = channels(server="mail.example.jp", sender="k@example.jp")
    assert one.name == "mail mail.example.jp"


@pytest.mark.parametrize(
    "settings",
    [
        {"server": "mail.example.jp"},
        {"server": "mail example", "sender": "k@example.jp"},
        {"server": "mail.example.jp", "sender": "k@example.jp\r\nBcc: x@y"},
        {"server": "mail.example.jp", "sender": "k@example.jp", "username": "u"},
        {"server": "mail.example.jp", "sender": "k@example.jp", "security": "none"},
        {"server": "mail.example.jp", "sender": "k@example.jp", "to": ["nobody"]},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MailSettings.model_validate(settings)
