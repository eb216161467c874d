"""What an S3 server answers, read with suspicion.

Answers are bounded before they get here. Document types are refused, so no entity can be declared, let alone
expanded; what is no answer of the expected kind is a `MalformedAnswer`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote
from xml.parsers import expat
from xml.sax.saxutils import escape

from appliance.storage.versions import LockMode, Version

MAX_ELEMENTS = 100_000
"""Elements of one answer; a full page of a listing has some 8000."""
MAX_DEPTH = 20


class MalformedAnswer(Exception):
    """The answer is not what S3 answers."""


@dataclass
class Element:
    """An XML element without its namespace and attributes, which S3 does not use for anything."""

    name: str
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Element]:
        return (child for child in self.children if child.name == name)

    def value(self, name: str) -> str:
        """The text of the child `name`, empty when there is none."""
        return next((child.text for child in self.all(name)), "")


def parse_xml(body: bytes, *roots: str) -> Element:
    """The root element of `body`; raises `MalformedAnswer` unless it has one of the names in `roots`.

    The first is S3's own; others are what some servers say.
    """
    top = Element("")
    stack = [top]
    elements = 0

    def start(name: str, _attributes: Any) -> None:
        nonlocal elements
        elements += 1
        if elements > MAX_ELEMENTS or len(stack) > MAX_DEPTH:
            raise MalformedAnswer("too many elements")
        element = Element(name.rpartition(" ")[2])
        stack[-1].children.append(element)
        stack.append(element)

    def refuse(*_: Any) -> None:
        raise MalformedAnswer("document type declared")

    def text(data: str) -> None:
        stack[-1].text += data

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _name: stack.pop()
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError) as error:
        raise MalformedAnswer("no XML") from error
    if top.children[0].name not in roots:
        raise MalformedAnswer(f"no {roots[0]}")
    return top.children[0]


@dataclass(frozen=True)
class Page:
    """A page of a listing: keys with sizes, and the token of the next page, None after the last."""

    objects: tuple[tuple[str, int], ...]
    next_token: str | None


def parse_page(body: bytes) -> Page:
    """An answer to ListObjectsV2 with `encoding-type=url`."""
    result = parse_xml(body, "ListBucketResult")
    encoded = result.value("EncodingType") == "url"
    try:
        objects = tuple(
            (unquote(entry.value("Key")) if encoded else entry.value("Key"), _size(entry.value("Size")))
            for entry in result.all("Contents")
        )
    except ValueError as error:
        raise MalformedAnswer("size is no number") from error
    markers = _next(result, "NextContinuationToken")
    return Page(objects, markers[0] if markers else None)


def _size(text: str) -> int:
    """What is counted against the contract is never less than nothing."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


@dataclass(frozen=True)
class Versions:
    """A page of a listing of versions, by the bucket's own keys, and the markers of the next page."""

    entries: tuple[Version, ...]
    markers: tuple[str, ...] | None


def parse_versions(body: bytes) -> Versions:
    """An answer to ListObjectVersions with `encoding-type=url`."""
    result = parse_xml(body, "ListVersionsResult")
    encoded = result.value("EncodingType") == "url"
    try:
        entries = tuple(
            Version(
                unquote(entry.value("Key")) if encoded else entry.value("Key"),
                entry.value("VersionId"),
                0 if entry.name == "DeleteMarker" else _size(entry.value("Size")),
                entry.value("ETag"),
                _moment(entry.value("LastModified")),
                latest=entry.value("IsLatest") == "true",
                marker=entry.name == "DeleteMarker",
            )
            for entry in result.children
            if entry.name in ("Version", "DeleteMarker")
        )
    except ValueError as error:
        raise MalformedAnswer("size is no number, or LastModified no time") from error
    return Versions(entries, _next(result, "NextKeyMarker", "NextVersionIdMarker"))


def parse_object_lock(body: bytes) -> bool:
    """An answer to GetObjectLockConfiguration: whether Object Lock is enabled."""
    answer = parse_xml(body, "ObjectLockConfiguration", "GetObjectLockConfigurationResponse")
    return answer.value("ObjectLockEnabled") == "Enabled"


def retention(mode: LockMode, until: datetime) -> bytes:
    """The body of PutObjectRetention."""
    return (
        f"<Retention><Mode>{mode.upper()}</Mode><RetainUntilDate>{timestamp(until)}</RetainUntilDate></Retention>"
    ).encode()


def timestamp(moment: datetime) -> str:
    """A moment as S3 takes it, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_moment(text: str) -> datetime:
    """A time of an answer. Raises `MalformedAnswer`."""
    try:
        return _moment(text)
    except ValueError as error:
        raise MalformedAnswer("no time") from error


def parse_versioning(body: bytes) -> bool:
    """An answer to GetBucketVersioning: whether the bucket keeps versions, or has kept some."""
    answer = parse_xml(body, "VersioningConfiguration", "GetBucketVersioningResponse")
    return answer.value("Status") in ("Enabled", "Suspended")


def parse_parts(body: bytes) -> tuple[int, str | None]:
    """An answer to ListParts: the bytes of its parts, and the marker of the next page or None."""
    result = parse_xml(body, "ListPartsResult", "ListPartsResponse")
    try:
        size = sum(_size(entry.value("Size")) for entry in result.all("Part"))
    except ValueError as error:
        raise MalformedAnswer("size is no number") from error
    markers = _next(result, "NextPartNumberMarker")
    return size, markers[0] if markers else None


def _next(result: Element, *names: str) -> tuple[str, ...] | None:
    """The markers of the next page, None after the last; one that is missing is a `MalformedAnswer`."""
    if result.value("IsTruncated") != "true":
        return None
    markers = tuple(result.value(name) for name in names)
    if not markers[0]:
        raise MalformedAnswer("truncated without a marker")
    return markers


@dataclass(frozen=True)
class Upload:
    """A multipart upload that is not finished: its key, id, and when it was begun."""

    key: str
    id: str
    initiated: datetime


def parse_uploads(body: bytes) -> tuple[tuple[Upload, ...], tuple[str, ...] | None]:
    """An answer to ListMultipartUploads: its uploads, and the markers of the next page or None."""
    result = parse_xml(body, "ListMultipartUploadsResult")
    try:
        uploads = tuple(
            Upload(entry.value("Key"), entry.value("UploadId"), _moment(entry.value("Initiated")))
            for entry in result.all("Upload")
        )
    except ValueError as error:
        raise MalformedAnswer("Initiated is no time") from error
    return uploads, _next(result, "NextKeyMarker", "NextUploadIdMarker")


def _moment(text: str) -> datetime:
    """An ISO 8601 time; S3's are UTC. Raises `ValueError` for one that is none, or not a time in every zone."""
    moment = datetime.fromisoformat(text)
    if not 1970 <= moment.year <= 9998:
        raise ValueError(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_upload_id(body: bytes) -> str:
    """The answer to CreateMultipartUpload."""
    upload_id = parse_xml(body, "InitiateMultipartUploadResult").value("UploadId")
    if not upload_id:
        raise MalformedAnswer("no upload id")
    return upload_id


def completion(etags: list[str]) -> bytes:
    """The body of CompleteMultipartUpload for parts 1 … n with these ETags."""
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
        for number, etag in enumerate(etags, start=1)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


@dataclass(frozen=True)
class Refusal:
    """An error answer: S3's error code and the region it names, empty where it tells none.

    `wants_md5`: the request was refused for want of a Content-MD5.
    """

    code: str = ""
    region: str = ""
    wants_md5: bool = False


def parse_refusal(body: bytes) -> Refusal:
    """The error in `body`; an empty one when the body tells none (a proxy's page, a HEAD)."""
    try:
        error = parse_xml(body, "Error")
    except MalformedAnswer:
        return Refusal()
    code = error.value("Code").strip()
    wants_md5 = code == "MissingContentMD5" or (
        code == "InvalidRequest" and "content-md5" in error.value("Message").lower()
    )
    return Refusal(code, error.value("Region").strip(), wants_md5)
