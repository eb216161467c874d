"""The verification reports as pages to be printed, and as the signed files they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import HTMLResponse, Response

from appliance.text import T
from appliance.web.language import FRESH, Reader, reader
from appliance.web.render import Renderer

if TYPE_CHECKING:
    from appliance.verification import Report, Reports

SHOWN = 100
"""Reports on the page that lists them."""


def report_pages(reports: Reports, renderer: Renderer) -> APIRouter:
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
    def listed(reader: Reader = Depends(reader)) -> HTMLResponse:
        found = [(name, load(name)) for name in reports.names()[:SHOWN]]
        title = T("Verification reports")
        return reader.answer(renderer.sheet("reports.html", reader.language, title=title, reports=found))

    @router.get("/reports/{name}.jws")
    def document(name: str) -> Response:
        load(name)
        return Response(reports.document(name), media_type="application/jose", headers=FRESH)

    @router.get("/reports/{name}", response_class=HTMLResponse)
    def shown(name: str, reader: Reader = Depends(reader)) -> HTMLResponse:
        report = load(name)
        if report is None:
            raise HTTPException(409, "This report is not signed by the box, or it was altered.")
        title = T("Verification report {name}", name=name)
        return reader.answer(renderer.sheet("report.html", reader.language, title=title, name=name, report=report))

    return router
