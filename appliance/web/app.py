"""The page on the LAN: what the Status says, in Japanese and English, and the same as JSON and as events.

Everything is rendered here; the page's script only puts changed parts in their place, and without it the
page reloads itself. Whoever is on the LAN may look. What changes something is a form: it is taken with the
operator code (`forms`), or is a directive that the provider signed. No secret is ever in a Status.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles

from appliance.status.board import Board
from appliance.status.codec import to_json
from appliance.status.model import State
from appliance.text import LANGUAGES
from appliance.web.directives import Take, directive_form
from appliance.web.events import Events, Pace
from appliance.web.forms import Form, OperatorDesk, form_routes
from appliance.web.guard import Guard
from appliance.web.language import FRESH, Reader, reader
from appliance.web.render import Link, Renderer
from appliance.web.reports import report_pages
from appliance.web.support import SupportDesk, support_form
from appliance.web.transfers import TransfersDesk, transfers_form

if TYPE_CHECKING:
    from appliance.hookspecs import WebExtension
    from appliance.verification import Reports


@dataclass(frozen=True)
class Desks:
    """What the page takes: a directive, the consent to remote support, the kill switch; each None: it takes none.

    `operator` looks at the operator code, without which none but a directive is taken.
    """

    operator: OperatorDesk
    transfers: TransfersDesk | None = None
    support: SupportDesk | None = None
    directive: Take | None = None

    def forms(self) -> list[Form]:
        """The forms, in the order in which they are offered."""
        forms = [] if self.transfers is None else [transfers_form(self.transfers, self.operator)]
        forms += [] if self.support is None else [support_form(self.support, self.operator)]
        return forms + ([] if self.directive is None else [directive_form(self.directive)])


def create_app(
    board: Board,
    extensions: Sequence[WebExtension] = (),
    *,
    language: str = "ja",
    hosts: Iterable[str] = (),
    zone: tzinfo | None = None,
    pace: Pace | None = None,
    reports: Reports | None = None,
    desks: Desks | None = None,
) -> FastAPI:
    """The page's application, showing what hangs on `board`.

    `language` is for readers whose browser prefers none of ours, `hosts` are further names the box is reached by
    (addresses, this machine's name, `localhost` and `*.local` always are), `zone` is the box's time zone (this
    machine's when None). `reports` are the verification reports, each a page to be printed. `desks` take what the page
    lets people do; None: nothing.
    """
    app = FastAPI(title="Kurabako", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.language = language
    forms = desks.forms() if desks is not None else []
    renderer = Renderer(
        board,
        zone=zone,
        actions=[Link(form.title, form.path) for form in forms],
        links=[Link(extension.title, f"/x/{extension.name}/") for extension in extensions if extension.title],
    )
    events = Events(board, renderer, pace or Pace())

    @app.get("/", response_class=HTMLResponse)
    async def page(reader: Reader = Depends(reader)) -> HTMLResponse:
        """The page."""
        return reader.answer(renderer.page(board.latest(), reader.language))

    @app.get("/api/status", response_class=JSONResponse)
    async def status(lang: Annotated[str | None, Query(description="`ja` or `en`")] = None) -> Response:
        """The Status; with `lang` its texts are words, without it messages and values to be rendered by the reader."""
        if lang is not None and lang not in LANGUAGES:
            raise HTTPException(400, f"lang is one of {', '.join(LANGUAGES)}")
        body = json.dumps(to_json(board.current(), lang), ensure_ascii=lang is None)
        return Response(body, media_type="application/json", headers=FRESH)

    @app.get("/api/events", response_class=StreamingResponse)
    async def stream(reader: Reader = Depends(reader)) -> Response:
        """Server-sent events: the parts of the page that changed; all of them first."""
        if events.full:
            return PlainTextResponse("Too many pages are open.\n", 503, {"Retry-After": "30"})
        return StreamingResponse(events.stream(reader.language), media_type="text/event-stream", headers=FRESH)

    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> PlainTextResponse:
        """`ok` while the page is served; it says nothing about the backups."""
        return PlainTextResponse("ok\n", headers=FRESH)

    @app.get("/icon/{state}.svg", include_in_schema=False)
    async def icon(state: State) -> Response:
        """The state's shape, for the browser's tab."""
        return Response(renderer.icon(state), media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})

    if reports is not None:
        app.include_router(report_pages(reports, renderer))
    for form in forms:
        app.include_router(form_routes(form, renderer))
    for extension in extensions:
        app.include_router(extension.router, prefix=f"/x/{extension.name}")
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    own = socket.gethostname()
    app.add_middleware(Guard, hosts=(own, own.partition(".")[0], *hosts), forms=[form.path for form in forms])
    return app
