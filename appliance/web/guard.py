"""What the page refuses, before any route sees it.

The page stands on a LAN without a login, so it only shows: GET, nothing else, but for forms, which count by
the operator code in them or by the provider's signature. A browser there may be led by a stranger's site to talk to the
box under that site's name (DNS rebinding), so only names that can be the box's own are answered; and a form is taken
only from the box's own page. The answer's headers let nothing foreign in.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer, browsers would not say whose page a form comes from.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_PORT = re.compile(r":[0-9]{1,5}$")


class Guard:
    """ASGI middleware: refuses foreign host names (421) and methods that could change something (405)."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] = (), forms: Iterable[str] = ()) -> None:
        self._app = app
        self._forms = frozenset(forms)
        self._hosts = {"localhost", *(host.casefold().rstrip(".") for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await self._choose(scope)(scope, receive, guarded)

    def _choose(self, scope: Scope) -> ASGIApp:
        form = scope["method"] == "POST" and scope["path"] in self._forms
        if scope["method"] != "GET" and not form:
            return PlainTextResponse("This page only shows; it changes nothing.\n", 405, {"Allow": "GET"})
        headers = Headers(scope=scope)
        if not self.allows(headers.get("host", "")):
            return PlainTextResponse("The box does not answer to this name. Open the page by its address.\n", 421)
        if form and not _from_own_page(headers):
            return PlainTextResponse("This form is taken from the box's own page only.\n", 403)
        return self._app

    def allows(self, host: str) -> bool:
        """Whether a Host header (name or address, with or without port) can be meant for this box."""
        name = _PORT.sub("", host) if not host.startswith("[") else host.partition("]")[0][1:]
        name = name.casefold().rstrip(".")
        return name in self._hosts or name.endswith(".local") or _is_address(name)


def _from_own_page(headers: Headers) -> bool:
    """Whether no stranger's page sent the request: browsers say whose it is (Fetch standard)."""
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host", "")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
