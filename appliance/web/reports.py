"""The verification reports as pages to be printed, and as the signed files they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Cookie, Header, HTTPException, Query
from fastapi.responses import HTMLResponse, Response

from appliance.text import T
from appliance.web.language import choose
from appliance.web.render import Renderer

if TYPE_CHECKING:
    from appliance.verification import Report, Reports

SHOWN = 100
"""Reports on the page that lists them."""

_FRESH = {"Cache-Control": "no-store", "Vary": "Accept-Language, Cookie"}


def report_pages(reports: Reports, renderer: Renderer, language: str) -> APIRouter:
    """The pages below `/reports`."""
    from appliance.verification import ReportNotFound, ReportRefused

    router = APIRouter(include_in_schema=False)

    def load(name: str) -> Report | None:
        try:
            return reports.load(name)
        except ReportRefused:
            return None
        except ReportNotFound:
            raise HTTPException(404, "There is no such report.") from None

    @router.get("/reports", response_class=HTMLResponse)
    def listed(
        lang: Annotated[str | None, Query()] = None,
        cookie: Annotated[str | None, Cookie(alias="lang")] = None,
        accept_language: Annotated[str | None, Header()] = None,
    ) -> HTMLResponse:
        chosen = choose(lang, cookie, accept_language, language)
        found = [(name, load(name)) for name in reports.names()[:SHOWN]]
        title = T("Verification reports").render(chosen)
        return HTMLResponse(renderer.sheet("reports.html", chosen, title=title, reports=found), headers=_FRESH)

    @router.get("/reports/{name}.jws")
    def document(name: str) -> Response:
        load(name)
        return Response(reports.document(name), media_type="application/jose", headers=_FRESH)

    @router.get("/reports/{name}", response_class=HTMLResponse)
    def shown(
        name: str,
        lang: Annotated[str | None, Query()] = None,
        cookie: Annotated[str | None, Cookie(alias="lang")] = None,
        accept_language: Annotated[str | None, Header()] = None,
    ) -> HTMLResponse:
        chosen = choose(lang, cookie, accept_language, language)
        report = load(name)
        if report is None:
            raise HTTPException(409, "This report is not signed by the box, or it was altered.")
        title = T("Verification report {name}", name=name).render(chosen)
        return HTMLResponse(
            renderer.sheet("report.html", chosen, title=title, name=name, report=report), headers=_FRESH
        )

    return router
