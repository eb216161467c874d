"""What the page takes: forms, each on a page of its own, that work without a script.

Whatever changes something is asked for with the operator code, in the form itself: there is no session that another
page in the same browser could ride on, and nothing to log out of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from appliance.errors import KurabakoError
from appliance.operator_code import OperatorCodeError, TryLater
from appliance.text import T, Text
from appliance.web.language import Reader, reader
from appliance.web.render import Renderer

URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"

LARGEST = 4096
"""Bytes of the largest form that holds no document."""

TOO_LARGE = T("The form is too large.")

Fields: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class OperatorDesk:
    """`has_code` says whether the box has an operator code; `require` takes one, and the address it comes from.

    `require` raises an `OperatorCodeError` unless it is the right one.
    """

    has_code: Callable[[], bool]
    require: Callable[[str, str], Awaitable[None]]


class Refused(Exception):
    """A form is not taken: the HTTP status and what to say."""

    def __init__(self, status: int, why: Text) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass(frozen=True)
class Form:
    """A page at `path` with a form: `shows` are the template's values now, besides `answer` and `good`.

    `take` does what the fields ask for and says what became of it, None where the page shows it by itself. It raises
    `Refused`, or a `KurabakoError`, which is answered with the HTTP status `failed`. With `desk` the operator code in
    the field `code` comes first. What comes in another `encoding` has no fields. A form of more than `largest` bytes is
    refused with the sentence `too_large`.
    """

    path: str
    title: Text
    template: str
    take: Callable[[Fields], Awaitable[Text | None]]
    shows: Callable[[], Mapping[str, Any]] = dict
    desk: OperatorDesk | None = None
    encoding: str = URLENCODED
    failed: int = 503
    largest: int = LARGEST
    too_large: Text = TOO_LARGE


def form_routes(form: Form, renderer: Renderer) -> APIRouter:
    """The page with the form, and what takes it."""
    router = APIRouter()

    def answered(
        reader: Reader, status: int = 200, answer: Text | None = None, headers: Fields | None = None
    ) -> HTMLResponse:
        shown = dict(form.shows())
        if form.desk is not None:
            shown["has_code"] = form.desk.has_code()
        values = {**shown, "path": form.path, "title": form.title, "answer": answer, "good": status == 200}
        return reader.answer(renderer.sheet(form.template, reader.language, **values), status, headers)

    @router.get(form.path, response_class=HTMLResponse)
    async def shown(reader: Reader = Depends(reader)) -> HTMLResponse:
        """The form."""
        return answered(reader)

    @router.post(form.path, response_class=HTMLResponse)
    async def take(request: Request, reader: Reader = Depends(reader)) -> HTMLResponse:
        """Does what the form asks for, with the operator code where one is needed."""
        try:
            fields = fields_in(form.encoding, request.headers.get("content-type", ""), await _body(request, form))
            if form.desk is not None:
                await form.desk.require(fields.get("code", ""), request.client.host if request.client else "")
            return answered(reader, answer=await form.take(fields))
        except Refused as refused:
            return answered(reader, refused.status, refused.why)
        except TryLater as error:
            return answered(reader, 429, _said(error), {"Retry-After": str(error.seconds)})
        except OperatorCodeError as error:
            return answered(reader, 403, _said(error))
        except KurabakoError as error:
            return answered(reader, form.failed, _said(error))

    return router


def _said(error: KurabakoError) -> Text:
    said = T("{what} {safe}", what=error.what, safe=error.safe or "")
    return T("{what} {todo}", what=said, todo=error.todo) if error.todo is not None else said


async def _body(request: Request, form: Form) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > form.largest:
            raise Refused(413, form.too_large)
    return body


def fields_in(encoding: str, content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form in one of the two encodings (HTML standard, 4.10.21.7; RFC 7578), by name, stripped."""
    if content_type.partition(";")[0].strip().lower() != encoding:
        return {}
    if encoding == URLENCODED:
        return {name: values[0].strip() for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    found = {}
    for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            found[name] = content.decode("utf-8", "replace").strip()
    return found
