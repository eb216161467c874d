"""Asking an address of the provider: only for news, bounded, and ever more rarely while it does not answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from appliance.errors import KurabakoError
from appliance.inbox.lines import LARGEST_LIST, documents
from appliance.text import T, Text

TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and between two pieces of the answer."""

LONGEST_PAUSE = timedelta(hours=6)
"""However often the address failed, or asked to be left alone."""

FIRST_PAUSE = timedelta(minutes=1)


class PollFailed(KurabakoError):
    """The address did not answer as it must."""

    code = "directive.poll"


class Poll:
    """Asks `url`, an HTTPS address, every `every`. `ask` and `fetch` block; the rest is quick.

    After a failure it is asked again after a minute, then after twice as long each time, give or take, and at last
    every `LONGEST_PAUSE`; the server's `Retry-After` counts where it asks for more. No redirection is followed.
    """

    def __init__(
        self,
        url: str,
        *,
        every: timedelta,
        clock: Callable[[], datetime],
        ca_file: Path | None = None,
        hosts: Callable[[], Mapping[str, str]] = dict,
        token: Callable[[], str] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._url = url
        self._every = every
        self._clock = clock
        self._verify: bool | str = str(ca_file) if ca_file is not None else True
        self._hosts = hosts
        self._token = token
        self._chance = chance
        self._etag = ""
        self._failures = 0
        self.next_at = clock()
        """When it is to be asked again."""

    def ask(self) -> list[str]:
        """The documents there, one compact JWS per line; none when nothing is new. `PollFailed`."""
        content = self.fetch()
        return [] if content is None else documents(content)

    def fetch(self) -> bytes | None:
        """What is there; None when nothing is new. Raises `PollFailed`, and what `token` raises."""
        # Brings the whole HTTP client; a box that polls nowhere needs none.
        import requests

        from appliance.hosts import session

        headers = {"User-Agent": "kurabako", "Accept": "text/plain, application/json"}
        if self._etag:
            headers["If-None-Match"] = self._etag
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        try:
            with (
                session(self._hosts()) as asking,
                asking.get(
                    self._url, headers=headers, timeout=TIMEOUT, verify=self._verify, allow_redirects=False, stream=True
                ) as answer,
            ):
                if answer.status_code == 304:
                    self._answered()
                    return None
                if answer.status_code != 200:
                    raise self._failed(
                        T("it answered with {status}", status=answer.status_code),
                        self._asked_pause(answer.headers.get("Retry-After", "")),
                    )
                content = b""
                for piece in answer.iter_content(16 * 1024):
                    content += piece
                    if len(content) > LARGEST_LIST:
                        raise self._failed(T("its answer is larger than {limit} bytes", limit=f"{LARGEST_LIST:,}"))
                etag = answer.headers.get("ETag", "")
        except (requests.RequestException, OSError) as error:
            raise self._failed(T("it cannot be reached ({kind})", kind=type(error).__name__)) from error
        self._etag = etag if len(etag) <= 200 else ""
        self._answered()
        return content

    def forget(self) -> None:
        """The next answer is wanted whole, since something of the last one could not be taken."""
        self._etag = ""

    def _answered(self) -> None:
        self._failures = 0
        self.next_at = self._clock() + self._every

    def _failed(self, why: Text, asked: timedelta = timedelta(0)) -> PollFailed:
        self._failures += 1
        pause = min(FIRST_PAUSE * 2 ** min(self._failures - 1, 20), LONGEST_PAUSE) * (0.75 + 0.5 * self._chance())
        self.next_at = self._clock() + min(max(pause, asked), LONGEST_PAUSE)
        return PollFailed(
            T("The provider's address {url} cannot be used: {why}.", url=self._url, why=why),
            safe=T("Backups go on; what was ordered before stays in force."),
            todo=T("Nothing is to be done: it is asked again by itself."),
        )

    def _asked_pause(self, header: str) -> timedelta:
        """RFC 9110, 10.2.3: seconds, or a date."""
        try:
            if header.isdecimal():
                return timedelta(seconds=min(int(header), LONGEST_PAUSE.total_seconds()))
            return max(parsedate_to_datetime(header) - self._clock(), timedelta(0))
        except (ValueError, TypeError, OverflowError):
            return timedelta(0)
