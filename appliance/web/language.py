"""Which language a reader of the page wants."""

from __future__ import annotations

from appliance.text import LANGUAGES


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
