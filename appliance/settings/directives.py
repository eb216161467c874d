"""`[directives]`: the ways by which the provider's signed messages come."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from appliance.fields import AbsolutePath, Section
from appliance.text import T


def _url(value: object) -> str:
    if isinstance(value, str):
        parts = urlsplit(value)
        if parts.scheme == "https" and parts.hostname and not parts.username and not parts.password:
            return value
    raise ValueError(T("write an address such as https://control.example.jp/directives, without a password"))


HttpsUrl = Annotated[str, BeforeValidator(_url)]


class DirectivesSettings(Section):
    """Where to look for directives. Whatever comes counts only when the provider signed it for this box."""

    url: HttpsUrl | None = None
    ca_file: AbsolutePath | None = None
    every: Annotated[int, Field(ge=1, le=1440)] = 15
    from_cloud: bool = True
    from_disks: bool = True
    on_page: bool = True
