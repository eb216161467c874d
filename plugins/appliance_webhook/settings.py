"""The settings table `[webhook]`."""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from appliance.settings import AbsolutePath, SecretFile, Section
from appliance.text import T

_LOCAL_ENDINGS = (".local", ".lan", ".internal", ".home.arpa")


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("https", "http"):
        raise ValueError(T("write a web address such as https://example.jp/notices"))
    if parts.username is not None or parts.password is not None:
        raise ValueError(T("write the address without a password; a token stands in the file token_file"))
    if parts.scheme == "http" and not _is_local(host):
        raise ValueError(T("write https: unencrypted http is for addresses of the local network only"))
    return url


def _is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.lower().endswith(_LOCAL_ENDINGS)
    return address.is_private or address.is_loopback or address.is_link_local


class WebhookSettings(Section):
    """`[webhook]`. Without `url` nothing is sent."""

    url: Annotated[str, AfterValidator(_address)] | None = None
    token_file: SecretFile | None = None
    ca_file: AbsolutePath | None = None
    timeout: Annotated[float, Field(gt=0, le=60)] = 10.0
