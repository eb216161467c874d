"""The customer's consent to remote support, given and taken back on the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.text import T, Text
from appliance.web.forms import Fields, Form, OperatorDesk, Refused

PATH = "/support"

NAME = 100
"""Characters of the longest name."""


@dataclass(frozen=True)
class SupportDesk:
    """`now` says what is allowed now, None: nothing; `allow` takes who allows it and for how many minutes.

    `allow` and `end` raise `KurabakoError` when it cannot be remembered.
    """

    now: Callable[[], Text | None]
    allow: Callable[[str, int], object]
    end: Callable[[], object]


def support_form(desk: SupportDesk, operator: OperatorDesk) -> Form:
    """The page that allows it (`name`, `minutes`), or ends it (`end`)."""

    async def decide(fields: Fields) -> None:
        if "end" in fields:
            desk.end()
            return
        name, minutes = fields.get("name", ""), fields.get("minutes", "")
        if not name or len(name) > NAME or not minutes.isascii() or not minutes.isdigit() or len(minutes) > 3:
            raise Refused(422, T("Write who allows it, and for how many minutes."))
        desk.allow(name, int(minutes))

    return Form(PATH, T("Remote support"), "support.html", decide, lambda: {"allowed": desk.now()}, operator)
