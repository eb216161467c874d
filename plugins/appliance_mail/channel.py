"""The channel: one mail per notice, over an encrypted line."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from appliance.errors import KurabakoError
from appliance.status.outputs import Notice
from appliance.text import T, Text
from appliance_mail.settings import MailSettings

PORTS = {"tls": 465, "starttls": 587}
"""RFC 8314."""

LONGEST_SUBJECT = 150
LONGEST_BODY = 10_000
"""Characters; what people read."""


class MailFailed(KurabakoError):
    """A notice was not taken by the mail server, or not for everybody."""

    code = "mail.failed"


class MailChannel:
    """Sends each notice to the contract's registered contacts (`notice.to`) and to those in the settings.

    A message without any recipient is not sent, and no failure.
    """

    def __init__(self, settings: MailSettings) -> None:
        assert settings.server is not None
        assert settings.sender is not None
        self._settings = settings
        self._server = settings.server
        self._sender = settings.sender

    @property
    def name(self) -> str:
        return f"mail {self._server}"

    def send(self, notice: Notice) -> None:
        """Raises `MailFailed` unless the server took it for every recipient, and `SecretUnreadable`."""
        registered = notice.to if self._settings.registered else ()
        recipients = list(dict.fromkeys((*registered, *self._settings.to)))
        if not recipients:
            return
        try:
            with self._connected() as server:
                refused = server.send_message(self._message(notice, recipients), self._sender, recipients)
        except smtplib.SMTPAuthenticationError as error:
            raise self._failed(T("it refuses the user or the password")) from error
        except smtplib.SMTPResponseException as error:
            raise self._failed(T("it answered with {status}", status=error.smtp_code)) from error
        except ssl.SSLError as error:
            raise self._failed(T("the line cannot be encrypted: {why}", why=error.reason or "TLS")) from error
        except UnicodeEncodeError as error:
            raise self._failed(T("a user, a password or an address for it must be plain ASCII")) from error
        except (smtplib.SMTPException, OSError) as error:
            raise self._failed(T("it cannot be reached ({kind})", kind=type(error).__name__)) from error
        if refused:
            raise self._failed(T("it refused {count} of the recipients", count=len(refused)))

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        port = settings.port or PORTS[settings.security]
        context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
        server: smtplib.SMTP
        if settings.security == "tls":
            server = smtplib.SMTP_SSL(self._server, port, timeout=settings.timeout, context=context)
        else:
            server = smtplib.SMTP(self._server, port, timeout=settings.timeout)
        try:
            if settings.security == "starttls":
                server.starttls(context=context)
            if settings.username is not None and settings.password_file is not None:
                server.login(settings.username, settings.password_file.read().get_secret_value())
        except BaseException:
            server.close()
            raise
        return server

    def _message(self, notice: Notice, recipients: list[str]) -> EmailMessage:
        message = EmailMessage()
        language = self._settings.language
        message["From"] = self._sender
        message["To"] = ", ".join(recipients)
        message["Date"] = format_datetime(notice.at)
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2])
        message["Subject"] = " ".join(_words(notice.subject, language).split())[:LONGEST_SUBJECT]
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
        message["X-Kurabako-Code"] = notice.code
        message.set_content(_words(notice.body, language)[:LONGEST_BODY] + "\n")
        return message

    def _failed(self, why: Text) -> MailFailed:
        return MailFailed(
            T("The mail server {server} did not take the notice: {why}.", server=self._server, why=why),
            safe=T("Backups are not affected."),
            todo=T("Check the settings of [mail]."),
        )


def _words(text: Text, language: str) -> str:
    """A text in words; what is no Unicode, as a file's name may hold, becomes `?`."""
    return text.render(language).encode("utf-8", "replace").decode("utf-8")
