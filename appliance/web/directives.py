"""A directive of the provider, handed in on the page. It counts by its signature, so nobody is asked for a code."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from appliance.contract.signature import LARGEST
from appliance.text import T, Text
from appliance.web.forms import MULTIPART, Fields, Form, Refused

PATH = "/directives"

LARGEST_FORM = 2 * LARGEST + 4096
"""Bytes of the largest form: a file and a text, and what is around them."""

TRIES, PER = 20, 600.0
"""Forms taken in so many seconds: each refused one is kept as evidence, which must not fill the disk."""

Take: TypeAlias = Callable[[str], Awaitable[Text]]
"""Takes a signed document and says what became of it; raises `KurabakoError` when it is refused."""


def directive_form(take: Take, *, clock: Callable[[], float] = time.monotonic) -> Form:
    """The page that takes the directive in the form's `file` or `document`."""
    taken: deque[float] = deque()

    async def hand_in(fields: Fields) -> Text:
        now = clock()
        while taken and taken[0] <= now - PER:
            taken.popleft()
        if len(taken) >= TRIES:
            raise Refused(429, T("Too many documents were handed in. Try again in a few minutes."))
        document = fields.get("file") or fields.get("document")
        if not document:
            raise Refused(400, T("No document was handed in."))
        taken.append(now)
        return await take(document)

    return Form(
        PATH,
        T("Hand in a directive"),
        "directive.html",
        hand_in,
        encoding=MULTIPART,
        failed=422,
        largest=LARGEST_FORM,
        too_large=T("The document is larger than {limit} bytes.", limit=f"{LARGEST:,}"),
    )
