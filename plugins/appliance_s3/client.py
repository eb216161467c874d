"""Signed requests to one S3 place, and answers that are bounded and checked.

requests sends, requests-aws4auth signs (Signature Version 4, by header: no secret ever stands in a URL). Neither
a session nor a signer may be used by two threads at once, so each request takes a pair of them for itself.

The signature vouches for every body by its SHA-256, which the server checks. Where that is the object's name, the name
is taken at its word: so the server finds, too, what was damaged in this machine's memory since the object got it.
Content-MD5 says nothing more and takes twice as long to make; it is sent with what is short, and with objects where
Object Lock demands it.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import struct
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests
import urllib3
from requests_aws4auth import AWS4Auth

from appliance.hosts import HostsAdapter
from appliance.hosts import session as new_session
from appliance.storage.interface import Buffer, StorageError
from appliance_s3.answers import parse_refusal
from appliance_s3.errors import Answered, broken_off, damaged_here, not_s3, refused, unreachable
from appliance_s3.place import Credentials, Place

MAX_REFUSAL = 64 * 1024
"""Bytes of an error answer that are read; S3's own are below 2 kB."""
MAX_ANSWER = 8 * 1024 * 1024
"""Bytes of an XML answer that are read; a full page of a listing, 1000 keys, is below 1 MB."""

_HASH = "x-amz-content-sha256"
_SHORT = 64 * 1024
_PIECE = 64 * 1024
"""Bytes that are sent at once where somebody wants to hear of each piece: half a second of a line of 1 Mbit/s."""
_LOCKS = "x-amz-object-lock-"
_SIGNED = ("host", "content-type", "content-md5", "x-amz-*")


@dataclass(frozen=True)
class Timeouts:
    """Seconds of patience: until a connection stands, and between two pieces of data."""

    connect: float = 15.0
    read: float = 90.0


class Answer:
    """An answer whose body has not been read yet."""

    def __init__(self, response: requests.Response, place: Place) -> None:
        self._response = response
        self._place = place

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    @property
    def framed(self) -> bool:
        """Whether the answer says where it ends. One that does not was cut off in its headers."""
        return self.status == 204 or "content-length" in self.headers or "transfer-encoding" in self.headers

    @property
    def length(self) -> int:
        """What Content-Length says."""
        value = self.headers.get("content-length", "")
        if not (value.isascii() and value.isdigit()):
            raise not_s3(self._place)
        return int(value)

    def body(self, limit: int = MAX_ANSWER) -> bytes:
        """The whole body, which must not be longer than `limit` bytes."""
        data = self._read(limit + 1)
        if len(data) > limit:
            raise not_s3(self._place)
        return data

    def exactly(self, length: int) -> bytes:
        """The whole body, which must be exactly `length` bytes."""
        if "content-length" in self.headers and self.length != length:
            raise not_s3(self._place)
        data = self._read(length + 1)
        if len(data) != length:
            raise not_s3(self._place)
        return data

    def _read(self, amount: int) -> bytes:
        """Up to `amount` bytes; fewer only at the body's end, as urllib3 holds it to its Content-Length."""
        parts = []
        try:
            while amount > 0:
                part: bytes = self._response.raw.read(amount, decode_content=False)
                if not part:
                    break
                parts.append(part)
                amount -= len(part)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(error, self._place) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)


class _Pieces:
    """A body that http.client reads piece by piece."""

    def __init__(self, data: memoryview, before: Callable[[int], None]) -> None:
        self._data = data
        self._before = before
        self._at = 0

    def __len__(self) -> int:
        return len(self._data)

    def read(self, amount: int = -1) -> memoryview:
        amount = len(self._data) if amount < 0 else amount
        piece = self._data[self._at : self._at + amount]
        if len(piece):
            self._before(len(piece))
        self._at += len(piece)
        return piece


class _AbruptAdapter(HostsAdapter):
    """Connections that end at once when they are closed, or their process is: what is not sent yet never is."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        linger = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        usual = urllib3.connection.HTTPConnection.default_socket_options
        super().init_poolmanager(*arguments, socket_options=[*usual, linger], blocksize=_PIECE, **options)


class _Signer(AWS4Auth):  # type: ignore[misc]
    """Signs with the hash of the body and the date that stand in the request already."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        headers = request.headers
        if self.date != headers["x-amz-date"][:8]:
            self.handle_date_mismatch(request)
        if self.session_token:
            headers["x-amz-security-token"] = self.session_token
        canonical, names = self.get_canonical_headers(request, self.include_hdrs)
        what = self.get_sig_string(
            request, self.get_canonical_request(request, canonical, names), self.signing_key.scope
        )
        signature = hmac.digest(self.signing_key.key, what.encode(), "sha256").hex()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_id}/{self.signing_key.scope}, SignedHeaders={names}, "
            f"Signature={signature}"
        )
        return request


@dataclass(frozen=True)
class _Line:
    """What one request at a time goes through."""

    session: requests.Session
    signer: _Signer


class S3Client:
    """Sends requests to `place`. Thread-safe. `now` gives this machine's time, with a time zone."""

    def __init__(
        self,
        place: Place,
        credentials: Credentials,
        *,
        timeouts: Timeouts | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.place = place
        self.now = now
        self._credentials = credentials
        self._timeouts = timeouts or Timeouts()
        self._lock = threading.Lock()
        self._idle: list[_Line] = []
        self._md5_is_wanted = False

    @contextmanager
    def send(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Buffer | None = None,
        body_hash: str | None = None,
        before: Callable[[int], None] | None = None,
    ) -> Iterator[Answer]:
        """Sends one request and hands out the answer; raises a `StorageError` unless its status is 2xx.

        `body_hash` is the SHA-256 that the body must have, in hexadecimal, where that is known; the server judges.
        `before` is called with the size of each piece of the body before it is sent.
        """
        # requests would send an empty view in chunks, which S3 refuses.
        data: Buffer = memoryview(body).cast("B") if body is not None and memoryview(body).nbytes else b""
        sent = dict(headers or {})
        sent[_HASH] = body_hash or hashlib.sha256(data).hexdigest()
        if body is not None:
            self._describe(data, sent)
        with self._line() as line:
            response = self._send(line, method, url, query or {}, sent, data, before)
            try:
                answer = Answer(response, self.place)
                if not 200 <= response.status_code < 300:
                    refusal = self._refused(answer)
                    # Servers differ in what they complain of then: the hash, or the signature that it is a part of.
                    if response.status_code < 500 and hashlib.sha256(data).hexdigest() != sent[_HASH]:
                        refusal = damaged_here(self.place)
                    raise refusal
                if not answer.framed:
                    raise broken_off(self.place)
                yield answer
            finally:
                response.close()

    def refusal_in(self, answer: Answer, body: bytes) -> StorageError:
        """What `body` complains of although the answer's status is 200."""
        refusal = parse_refusal(body)
        if not refusal.code:
            return not_s3(self.place)
        return refused(Answered(answer.status, answer.headers, refusal), self.place, self.now())

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for line in idle:
            line.session.close()

    def _describe(self, body: Buffer, headers: dict[str, str]) -> None:
        headers["content-type"] = "application/octet-stream"
        if self._md5_is_wanted or len(body) <= _SHORT or any(name.startswith(_LOCKS) for name in headers):
            headers["content-md5"] = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()

    def _send(
        self,
        line: _Line,
        method: str,
        url: str,
        query: Mapping[str, str],
        headers: dict[str, str],
        data: Buffer,
        before: Callable[[int], None] | None,
    ) -> requests.Response:
        # The signer takes this date, so that the clock is the one that was passed in.
        headers["x-amz-date"] = self.now().astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        headers["accept-encoding"] = "identity"
        try:
            request: Any = line.session.prepare_request(
                requests.Request(method, url, headers, params=query, data=data, auth=line.signer)
            )
            if before is not None and len(data):
                # Signed as a whole, sent in pieces.
                request.body = _Pieces(memoryview(data), before)
            verify = str(self.place.ca_file) if self.place.ca_file else True
            environment = line.session.merge_environment_settings(request.url, {}, True, verify, None)
            return line.session.send(
                request,
                allow_redirects=False,
                timeout=(self._timeouts.connect, self._timeouts.read),
                **environment,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(error, self.place) from error

    def _refused(self, answer: Answer) -> StorageError:
        try:
            refusal = parse_refusal(answer.body(MAX_REFUSAL))
        except StorageError:
            refusal = parse_refusal(b"")  # the status alone has to tell
        if refusal.wants_md5:
            self._md5_is_wanted = True  # the bucket locks all that is put into it; the request may be repeated
        return refused(Answered(answer.status, answer.headers, refusal), self.place, self.now())

    @contextmanager
    def _line(self) -> Iterator[_Line]:
        """A line that nobody else uses meanwhile; the one used last comes first, as its connection is freshest."""
        with self._lock:
            line = self._idle.pop() if self._idle else None
        line = line or self._new_line()
        try:
            yield line
        finally:
            with self._lock:
                self._idle.append(line)

    def _new_line(self) -> _Line:
        session = new_session(self.place.hosts)
        session.headers["user-agent"] = "kurabako"
        for scheme in ("https://", "http://"):
            session.mount(scheme, _AbruptAdapter(self.place.hosts))
        signer = _Signer(
            self._credentials.access_key_id,
            self._credentials.secret_access_key,
            self.place.region,
            "s3",
            session_token=self._credentials.session_token,
            include_hdrs=_SIGNED,
        )
        return _Line(session, signer)
