"""The one thing that can be handed in on the page: a directive of the provider, which counts by its signature alone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from email.parser import BytesParser
from email.policy import HTTP
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Cookie, Header, Query, Request
from fastapi.responses import HTMLResponse

from appliance.contract.signature import LARGEST
from appliance.errors import KurabakoError
from appliance.text import T, Text
from appliance.web.language import choose
from appliance.web.render import Renderer

PATH = "/directives"

LARGEST_FORM = 2 * LARGEST + 4096
"""Bytes of the largest form: a file and a text, and what is around them."""

TRIES, PER = 20, 600.0
"""Forms taken in so many seconds: each refused one is kept as evidence, which must not fill the disk."""

Take: TypeAlias = Callable[[str], Awaitable[Text]]
"""Takes a signed document and says what became of it; raises `KurabakoError` when it is refused."""

_FRESH = {"Cache-Control": "no-store", "Vary": "Accept-Language, Cookie"}


def directive_routes(
    take: Take, renderer: Renderer, *, language: str, clock: Callable[[], float] = time.monotonic
) -> APIRouter:
    """The page with the form, and what takes it."""
    router = APIRouter()
    taken: deque[float] = deque()

    def answered(chosen: str, status: int = 200, answer: Text | None = None, good: bool = False) -> HTMLResponse:
        page = renderer.directive_page(chosen, answer, good=good)
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
    async def hand_in(
        request: Request,
        cookie: Annotated[str | None, Cookie(alias="lang", include_in_schema=False)] = None,
        accept_language: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> HTMLResponse:
        """Takes the directive in the form's `file` or `document`."""
        chosen = choose(None, cookie, accept_language, language)
        now = clock()
        while taken and taken[0] <= now - PER:
            taken.popleft()
        if len(taken) >= TRIES:
            return answered(chosen, 429, T("Too many documents were handed in. Try again in a few minutes."))
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST_FORM:
                return answered(chosen, 413, T("The document is larger than {limit} bytes.", limit=f"{LARGEST:,}"))
        document = document_in(request.headers.get("content-type", ""), body)
        if not document:
            return answered(chosen, 400, T("No document was handed in."))
        taken.append(now)
        try:
            return answered(chosen, 200, await take(document), good=True)
        except KurabakoError as error:
            return answered(chosen, 422, T("{what} {safe}", what=error.what, safe=error.safe or ""))

    return router


def document_in(content_type: str, body: bytes) -> str:
    """The document in a form of `multipart/form-data` (RFC 7578): its file, else its text; empty when there is none."""
    if not content_type.startswith("multipart/form-data"):
        return ""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    found: dict[str, str] = {}
    for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            found[name] = content.decode("ascii", "replace").strip()
    return found.get("file") or found.get("document") or ""
