"""The customer's consent to remote support, given and taken back on the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Cookie, Header, Query, Request
from fastapi.responses import HTMLResponse

from appliance.errors import KurabakoError
from appliance.text import T, Text
from appliance.web.language import choose
from appliance.web.render import Renderer

PATH = "/support"

LARGEST_FORM = 4096
NAME = 100
"""Characters of the longest name."""

_FRESH = {"Cache-Control": "no-store", "Vary": "Accept-Language, Cookie"}


@dataclass(frozen=True)
class SupportDesk:
    """`now` says what is allowed now, None: nothing; `allow` takes who allows it and for how many minutes.

    `allow` and `end` raise `KurabakoError` when it cannot be remembered.
    """

    now: Callable[[], Text | None]
    allow: Callable[[str, int], None]
    end: Callable[[], None]


def support_routes(desk: SupportDesk, renderer: Renderer, *, language: str) -> APIRouter:
    """The page with the form, and what takes it."""
    router = APIRouter()

    def answered(chosen: str, status: int = 200, mistake: Text | None = None) -> HTMLResponse:
        page = renderer.sheet("support.html", chosen, allowed=desk.now(), mistake=mistake)
        return HTMLResponse(page, status, {**_FRESH, "Content-Language": chosen})

    @router.get(PATH, response_class=HTMLResponse)
    async def form(
        lang: Annotated[str | None, Query(description="`ja` or `en`")] = None,
        cookie: Annotated[str | None, Cookie(alias="lang", include_in_schema=False)] = None,
        accept_language: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> HTMLResponse:
        """The form."""
        return answered(choose(lang, cookie, accept_language, language))

    @router.post(PATH, response_class=HTMLResponse)
    async def decide(
        request: Request,
        cookie: Annotated[str | None, Cookie(alias="lang", include_in_schema=False)] = None,
        accept_language: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> HTMLResponse:
        """Allows it (`name`, `minutes`), or ends it (`end`)."""
        chosen = choose(None, cookie, accept_language, language)
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST_FORM:
                return answered(chosen, 413, T("The form is too large."))
        fields = {name: values[0].strip() for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        try:
            return decided(chosen, fields)
        except KurabakoError as error:
            return answered(chosen, 503, error.what)

    def decided(chosen: str, fields: Mapping[str, str]) -> HTMLResponse:
        if "end" in fields:
            desk.end()
            return answered(chosen)
        name, minutes = fields.get("name", ""), fields.get("minutes", "")
        if not name or len(name) > NAME or not minutes.isascii() or not minutes.isdigit() or len(minutes) > 3:
            return answered(chosen, 422, T("Write who allows it, and for how many minutes."))
        desk.allow(name, int(minutes))
        return answered(chosen)

    return router
