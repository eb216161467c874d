"""Which language a reader of the page wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Cookie, Header, Query, Request
from fastapi.responses import HTMLResponse

from appliance.text import LANGUAGES

FRESH = {"Cache-Control": "no-store", "Vary": "Accept-Language, Cookie"}
"""Headers of what is never to be kept: it is other a moment later, and for other readers."""

_COOKIE = "lang"
_YEAR = 365 * 24 * 3600


@dataclass(frozen=True)
class Reader:
    """Who reads: the `language` they are answered in; `chosen`: by a link just now, which is to be remembered."""

    language: str
    chosen: bool = False

    def answer(self, html: str, status: int = 200, headers: Mapping[str, str] | None = None) -> HTMLResponse:
        """A page for this reader."""
        response = HTMLResponse(html, status, {**FRESH, "Content-Language": self.language, **(headers or {})})
        if self.chosen:
            response.set_cookie(_COOKIE, self.language, max_age=_YEAR, httponly=True, samesite="lax")
        return response


def reader(
    request: Request,
    lang: Annotated[str | None, Query(description="`ja` or `en`; otherwise what the browser prefers")] = None,
    cookie: Annotated[str | None, Cookie(alias=_COOKIE, include_in_schema=False)] = None,
    accept_language: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Reader:
    """The reader of a request, as a dependency of its route; `app.state.language` is for those who prefer none."""
    chosen = choose(lang, cookie, accept_language, request.app.state.language)
    return Reader(chosen, lang in LANGUAGES and lang != cookie)


def choose(query: str | None, cookie: str | None, accept: str | None, default: str) -> str:
    """The link's language, else the one chosen before, else the browser's, else the box's."""
    for wanted in (query, cookie):
        if wanted in LANGUAGES:
            return wanted
    return next((language for language in _accepted(accept or "") if language in LANGUAGES), default)


def _accepted(header: str) -> list[str]:
    """The primary tags of an Accept-Language header (RFC 9110, 12.5.4), the most wanted first."""
    weighted = []
    for position, item in enumerate(header.split(",")):
        tag, _, parameter = item.strip().partition(";")
        try:
            weight = float(parameter.partition("q=")[2] or 1)
        except ValueError:
            weight = 0.0
        if weight > 0:
            weighted.append((-weight, position, tag.partition("-")[0].casefold()))
    return [tag for _, _, tag in sorted(weighted)]
