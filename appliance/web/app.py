"""The page on the LAN: what the Status says, in Japanese and English, and the same as JSON and as events.

Everything is rendered here; the page's script only puts changed parts in their place, and without it the
page reloads itself. Nothing on it changes anything but a directive that the provider signed and the customer's consent
to remote support, and no secret is ever in a Status.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import Cookie, FastAPI, Header, HTTPException, Query
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles

from appliance.status.board import Board
from appliance.status.codec import to_json
from appliance.status.model import State
from appliance.text import LANGUAGES, T
from appliance.web.directives import PATH as DIRECTIVES
from appliance.web.directives import Take, directive_routes
from appliance.web.events import Events, Pace
from appliance.web.guard import Guard
from appliance.web.language import choose
from appliance.web.render import Link, Renderer
from appliance.web.reports import report_pages
from appliance.web.support import PATH as SUPPORT
from appliance.web.support import SupportDesk, support_routes

if TYPE_CHECKING:
    from appliance.hookspecs import WebExtension
    from appliance.verification import Reports

_COOKIE = "lang"
_YEAR = 365 * 24 * 3600
_FRESH = {"Cache-Control": "no-store", "Vary": "Accept-Language, Cookie"}

_Language = Annotated[str | None, Query(description="`ja` or `en`; otherwise what the browser prefers")]


def create_app(
    board: Board,
    extensions: Sequence[WebExtension] = (),
    *,
    language: str = "ja",
    hosts: Iterable[str] = (),
    zone: tzinfo | None = None,
    pace: Pace | None = None,
    reports: Reports | None = None,
    take_directive: Take | None = None,
    support: SupportDesk | None = None,
) -> FastAPI:
    """The page's application, showing what hangs on `board`.

    `language` is for readers whose browser prefers none of ours, `hosts` are further names the box is reached by
    (addresses, this machine's name, `localhost` and `*.local` always are), `zone` is the box's time zone (this
    machine's when None). `reports` are the verification reports, each a page to be printed. `take_directive` takes what
    is handed in on the page; None: the page takes nothing. `support` takes the consent to remote support.
    """
    app = FastAPI(title="Kurabako", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    links = [] if take_directive is None else [Link(T("Hand in a directive"), DIRECTIVES)]
    links += [] if support is None else [Link(T("Remote support"), SUPPORT)]
    links += [Link(extension.title, f"/x/{extension.name}/") for extension in extensions if extension.title]
    renderer = Renderer(zone=zone, links=links)
    events = Events(board, renderer, pace or Pace())

    @app.get("/", response_class=HTMLResponse)
    async def page(
        lang: _Language = None,
        cookie: Annotated[str | None, Cookie(alias=_COOKIE, include_in_schema=False)] = None,
        accept_language: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> HTMLResponse:
        """The page."""
        chosen = choose(lang, cookie, accept_language, language)
        headers = {**_FRESH, "Content-Language": chosen}
        response = HTMLResponse(renderer.page(board.latest(), chosen), headers=headers)
        if lang in LANGUAGES and lang != cookie:
            response.set_cookie(_COOKIE, chosen, max_age=_YEAR, httponly=True, samesite="lax")
        return response

    @app.get("/api/status", response_class=JSONResponse)
    async def status(lang: _Language = None) -> Response:
        """The Status; with `lang` its texts are words, without it messages and values to be rendered by the reader."""
        if lang is not None and lang not in LANGUAGES:
            raise HTTPException(400, f"lang is one of {', '.join(LANGUAGES)}")
        body = json.dumps(to_json(board.current(), lang), ensure_ascii=lang is None)
        return Response(body, media_type="application/json", headers=_FRESH)

    @app.get("/api/events", response_class=StreamingResponse)
    async def stream(
        lang: _Language = None,
        cookie: Annotated[str | None, Cookie(alias=_COOKIE, include_in_schema=False)] = None,
        accept_language: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> Response:
        """Server-sent events: the parts of the page that changed; all of them first."""
        if events.full:
            return PlainTextResponse("Too many pages are open.\n", 503, {"Retry-After": "30"})
        chosen = choose(lang, cookie, accept_language, language)
        return StreamingResponse(events.stream(chosen), media_type="text/event-stream", headers=_FRESH)

    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> PlainTextResponse:
        """`ok` while the page is served; it says nothing about the backups."""
        return PlainTextResponse("ok\n", headers=_FRESH)

    @app.get("/icon/{state}.svg", include_in_schema=False)
    async def icon(state: State) -> Response:
        """The state's shape, for the browser's tab."""
        return Response(renderer.icon(state), media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})

    if reports is not None:
        app.include_router(report_pages(reports, renderer, language))
    if take_directive is not None:
        app.include_router(directive_routes(take_directive, renderer, language=language))
    if support is not None:
        app.include_router(support_routes(support, renderer, language=language))
    for extension in extensions:
        app.include_router(extension.router, prefix=f"/x/{extension.name}")
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    own = socket.gethostname()
    forms = [path for path, taken in ((DIRECTIVES, take_directive), (SUPPORT, support)) if taken is not None]
    app.add_middleware(Guard, hosts=(own, own.partition(".")[0], *hosts), forms=forms)
    return app
