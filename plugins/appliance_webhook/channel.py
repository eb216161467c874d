"""The channel: one POST per notice."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from appliance.errors import KurabakoError
from appliance.status.outputs import Notice
from appliance.text import LANGUAGES, T, Text
from appliance_webhook.settings import WebhookSettings

LONGEST_TEXT = 2000
"""Characters of a text that are sent: what people read at a glance, and what chat services accept."""


class WebhookFailed(KurabakoError):
    """A notice did not arrive."""

    code = "webhook.failed"


class WebhookChannel:
    """Posts each notice as JSON, its texts in every language. Addresses are named by their host only: the path of
    a webhook often is its secret."""

    def __init__(self, settings: WebhookSettings) -> None:
        assert settings.url is not None
        self._settings = settings
        self._url = settings.url
        parts = urlsplit(settings.url)
        self._host = parts.hostname or ""
        self._verify: bool | str = str(settings.ca_file) if settings.ca_file else True

    @property
    def name(self) -> str:
        return f"webhook {self._host}"

    def send(self, notice: Notice) -> None:
        """Raises `WebhookFailed` unless the other side answers with 2xx in time, and `SecretUnreadable`."""
        token = self._settings.token_file.read().get_secret_value() if self._settings.token_file else None
        try:
            with requests.post(
                self._url,
                data=json.dumps(document(notice), ensure_ascii=False).encode(),
                headers={"Content-Type": "application/json", "User-Agent": "kurabako"},
                auth=_Bearer(token),
                timeout=self._settings.timeout,
                verify=self._verify,
                allow_redirects=False,
                stream=True,
            ) as answer:
                status = answer.status_code
        except requests.Timeout as error:
            seconds = f"{self._settings.timeout:g}"
            raise self._failed(T("it did not answer within {seconds} s", seconds=seconds)) from error
        except requests.exceptions.SSLError as error:
            raise self._failed(T("its certificate cannot be trusted")) from error
        except requests.ConnectionError as error:
            raise self._failed(T("it cannot be reached")) from error
        except (requests.RequestException, OSError, ValueError) as error:
            raise self._failed(T("the request could not be made ({kind})", kind=type(error).__name__)) from None
        if not 200 <= status < 300:
            raise self._failed(T("it answered with the HTTP status {status}", status=status))

    def _failed(self, why: Text) -> WebhookFailed:
        return WebhookFailed(
            T("The notice could not be sent to {host}: {why}.", host=self._host, why=why),
            safe=T("Backups go on; the notice also stands on the box's page."),
            todo=T("Check url, token_file and ca_file in the table [webhook] of the settings."),
        )


def document(notice: Notice) -> dict[str, object]:
    """What is posted; docs/settings.md describes it for those who receive it."""
    return {
        "box": notice.box,
        "code": notice.code,
        "severity": notice.severity.value,
        "at": notice.at.isoformat(),
        "subject": {language: notice.subject.render(language)[:LONGEST_TEXT] for language in LANGUAGES},
        "body": {language: notice.body.render(language)[:LONGEST_TEXT] for language in LANGUAGES},
    }


class _Bearer(AuthBase):
    """A token, or deliberately none: without an `auth`, requests would look for a password in ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request
