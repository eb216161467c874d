"""Where a repository lies in S3, from the URL and options a person wrote."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from appliance.storage.interface import check_key
from appliance.text import T
from appliance.units import parse_size

MIN_PART = 5 * 1024 * 1024
"""The smallest part S3 accepts, except for the last one (Amazon S3 multipart upload limits)."""
MAX_PARTS = 10_000
"""The most parts one object may have (Amazon S3 multipart upload limits)."""
MAX_PAGES = 5_000
"""Pages of any listing that are read, each of a thousand entries at most: some 80 TB in packs."""
DEFAULT_PART_LIMIT = 200 * 1024 * 1024
DEFAULT_REGION = "us-east-1"

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_REGION_IN_HOST = re.compile(r"s3[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-[0-9]+)\.")


class Addressing(StrEnum):
    """Where the bucket stands in a request: in the path or in the host name."""

    PATH = "path"
    VIRTUAL = "virtual"


@dataclass(frozen=True)
class Credentials:
    """What requests are signed with. The secrets are never shown."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Place:
    """A prefix in a bucket at an endpoint.

    `endpoint` is `https://host[:port]` without the bucket; `prefix` has no slash at either end and may be empty.
    `ca_file` replaces the usual certificate authorities. `part_limit` is the size in bytes from which an object
    is sent in parts, and of each part. `create` allows making the bucket. `hosts` are addresses by name, for which no
    DNS is asked.
    """

    endpoint: str
    bucket: str
    prefix: str = ""
    region: str = DEFAULT_REGION
    addressing: Addressing = Addressing.PATH
    ca_file: Path | None = None
    part_limit: int = DEFAULT_PART_LIMIT
    create: bool = False
    hosts: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def location(self) -> str:
        return "/".join(filter(None, (f"s3:{self.endpoint}", self.bucket, self.prefix)))

    @property
    def host(self) -> str:
        return urlsplit(self.endpoint).hostname or ""

    @property
    def bucket_url(self) -> str:
        """The URL of the bucket itself, without a slash at its end in path style, with one in virtual-host style."""
        if self.addressing is Addressing.PATH:
            return f"{self.endpoint}/{self.bucket}"
        scheme, _, rest = self.endpoint.partition("://")
        return f"{scheme}://{self.bucket}.{rest}/"

    def object_key(self, key: str) -> str:
        """The bucket's own key for our `key`."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def object_url(self, key: str) -> str:
        return self.url(self.object_key(key))

    def url(self, object_key: str) -> str:
        """The URL of an object by the bucket's own key."""
        return f"{self.bucket_url.rstrip('/')}/{quote(object_key, safe='/-_.~')}"

    def own_key(self, object_key: str) -> str | None:
        """Our key for the bucket's own key, None when the object is not ours."""
        root = f"{self.prefix}/" if self.prefix else ""
        key = object_key.removeprefix(root)
        if not object_key.startswith(root):
            return None
        try:
            check_key(key)
        except ValueError:
            return None
        return key


def parse_place(url: str, options: dict[str, Any]) -> Place:
    """A `Place` from `url` (`https://host[:port]/bucket[/prefix]`, or `host/bucket[/prefix]` for https).

    Raises `ValueError` with a sentence when it makes no sense.
    """
    if not url.startswith(("http://", "https://")):
        url = "https://" + url.removeprefix("//")
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError(T("write the access key into its own settings, not into the address"))
    try:
        port = parts.port
    except ValueError:
        port = 0
    if not parts.hostname or port == 0 or parts.query or parts.fragment:
        raise ValueError(
            T(
                "{url} is not an S3 address; write s3:https://host/bucket or s3:https://host/bucket/prefix",
                url=f"s3:{url}",
            )
        )
    bucket, _, prefix = unquote(parts.path).strip("/").partition("/")
    prefix = prefix.strip("/")
    if bucket and not _BUCKET.fullmatch(bucket):
        raise ValueError(T("“{bucket}” cannot be the name of a bucket", bucket=bucket))
    if not bucket:
        raise ValueError(
            T("the address names no bucket; write s3:https://host/bucket or s3:https://host/bucket/prefix")
        )
    if any(name in ("", ".", "..") for name in prefix.split("/")) and prefix:
        raise ValueError(T("the prefix {prefix} has an empty part, . or .. in it", prefix=prefix))
    return Place(
        endpoint=f"{parts.scheme}://{parts.netloc}",
        bucket=bucket,
        prefix=prefix,
        region=_region(options.get("region"), parts.hostname),
        addressing=_addressing(options.get("addressing"), parts.hostname, bucket),
        ca_file=_ca_file(options.get("ca_file")),
        part_limit=_part_limit(options.get("part_limit")),
        create=bool(options.get("create", False)),
        hosts=options.get("hosts", {}),
    )


def parse_credentials(options: dict[str, Any]) -> Credentials:
    """The credentials among `options`; raises `ValueError` with a sentence when they are missing."""
    access_key_id, secret = options.get("access_key_id"), options.get("secret_access_key")
    if not access_key_id or not secret:
        raise ValueError(T("the access key ID or the secret access key for S3 is missing"))
    return Credentials(str(access_key_id).strip(), str(secret).strip(), options.get("session_token") or None)


def _region(wish: str | None, host: str) -> str:
    """As wished; else what host names such as `s3.ap-northeast-1.amazonaws.com` tell; else the default."""
    if wish:
        if not _REGION.fullmatch(wish):
            raise ValueError(T("{value} is not a region; write for example ap-northeast-1", value=wish))
        return wish
    found = _REGION_IN_HOST.match(host)
    return found[1] if found else DEFAULT_REGION


def _addressing(wish: str | None, host: str, bucket: str) -> Addressing:
    """As wished; else what Amazon wants for its own hosts, and the path style that every other server knows."""
    if wish:
        try:
            addressing = Addressing(wish)
        except ValueError:
            raise ValueError(T("addressing is path or virtual, not {value}", value=wish)) from None
        if addressing is Addressing.VIRTUAL and _is_address(host):
            raise ValueError(T("virtual addressing needs a host name, not an IP address"))
        return addressing
    # A wildcard certificate covers one label, so a bucket with dots cannot go into the host name.
    amazon = host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return Addressing.VIRTUAL if amazon and "." not in bucket else Addressing.PATH


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _ca_file(option: str | Path | None) -> Path | None:
    if not option:
        return None
    path = Path(option)
    try:
        ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError):
        raise ValueError(T("{path} is not there or holds no certificates in PEM form", path=str(path))) from None
    return path


def _part_limit(option: int | str | None) -> int:
    if option is None:
        return DEFAULT_PART_LIMIT
    limit = parse_size(option)
    if limit < MIN_PART:
        raise ValueError(T("the part limit must be at least 5 MiB, as S3 takes no smaller parts"))
    return limit
