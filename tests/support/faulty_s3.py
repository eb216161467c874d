"""An S3 server that works, in memory, and misbehaves whenever it is told to.

What is stored is known here as it is, so that a test can look behind the server's back: `objects` never lie.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from uuid import uuid4

from appliance.storage import MemoryStorage

PAGE = 7
"""Objects of one page of a listing; few, so that most listings have several."""


class Fault(StrEnum):
    """What goes wrong with a request."""

    NONE = "none"
    SLOW_DOWN = "slow-down"
    REFUSED_INSIDE = "internal-error"
    DONE_BUT_REFUSED = "internal-error-after-it-was-done"
    LOST = "connection-lost"
    ANSWER_LOST = "connection-lost-after-it-was-done"
    STALLED = "stalled"
    ANSWER_STALLED = "stalled-after-it-was-done"
    EXPIRED = "expired-credentials"
    SKEWED = "clock-skewed"
    TRUNCATED = "truncated-body"
    CORRUPTED = "corrupted-body"
    WRONG_ETAG = "wrong-etag"
    LOST_UPLOAD = "lost-multipart-upload"
    DUPLICATED = "duplicate-listing"
    STALE = "stale-listing"


BEFORE = {Fault.LOST, Fault.STALLED, Fault.SLOW_DOWN, Fault.REFUSED_INSIDE, Fault.EXPIRED, Fault.SKEWED}
"""The request has no effect."""

_REFUSALS = {
    Fault.SLOW_DOWN: (503, "SlowDown"),
    Fault.REFUSED_INSIDE: (500, "InternalError"),
    Fault.DONE_BUT_REFUSED: (500, "InternalError"),
    Fault.EXPIRED: (403, "ExpiredToken"),
    Fault.SKEWED: (403, "RequestTimeTooSkewed"),
}


@dataclass(frozen=True)
class Asked:
    """A request: its method, what it is about (an object, part, upload, uploads, listing), and the key or prefix."""

    method: str
    what: str
    key: str


@dataclass
class _Upload:
    key: str
    parts: dict[int, bytes] = field(default_factory=dict)


class FaultyS3:
    """One bucket, `bucket`. `choose` says for each request what goes wrong with it, one request at a time.

    `most_bytes` is the most that was ever stored at once, parts of unfinished uploads included. Signatures are not
    checked. A stalled request is answered when `close` is called, so the client's patience should be short.
    """

    def __init__(
        self, choose: Callable[[Asked], Fault] = lambda asked: Fault.NONE, tls: ssl.SSLContext | None = None
    ) -> None:
        self.choose = choose
        self.objects: dict[str, bytes] = {}
        self.met: dict[Fault, int] = {}
        self.most_bytes = 0
        self._before: dict[str, bytes] = {}
        self._uploads: dict[str, _Upload] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                owner._answer(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            disable_nagle_algorithm = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients here hang up on purpose

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.endpoint = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def unfinished_bytes(self) -> int:
        """What is stored in parts of uploads that were neither completed nor aborted."""
        with self._lock:
            return self._unfinished_bytes()

    def _unfinished_bytes(self) -> int:
        return sum(len(part) for upload in self._uploads.values() for part in upload.parts.values())

    def remember(self) -> None:
        """A stale listing shows what is there now."""
        with self._lock:
            self._before = dict(self.objects)

    def below(self, prefix: str) -> MemoryStorage:
        """A copy of all objects below `prefix`, without any faults."""
        storage = MemoryStorage()
        with self._lock:
            for key, data in self.objects.items():
                if key.startswith(f"{prefix}/"):
                    storage.put(key.removeprefix(f"{prefix}/"), data)
        return storage

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        parts = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, True).items()}
        key = unquote(parts.path).removeprefix("/bucket").lstrip("/")
        asked = Asked(handler.command, _what(key, query), key or query.get("prefix", ""))
        with self._lock:
            fault = self.choose(asked)
            self.met[fault] = self.met.get(fault, 0) + 1
        if fault in (Fault.LOST, Fault.STALLED):
            self._leave(handler, fault)
            return
        if fault is Fault.LOST_UPLOAD and "uploadId" in query:
            with self._lock:
                self._uploads.pop(query["uploadId"], None)
        elif fault in BEFORE:
            _send(handler, *_refusal(fault))
            return
        if _hung_up(handler):
            return
        with self._lock:
            status, answer, headers = self._do(asked, query, handler.headers, body, fault)
            stored = sum(map(len, self.objects.values()))
            stored += self._unfinished_bytes()
            self.most_bytes = max(self.most_bytes, stored)
        if fault in (Fault.ANSWER_LOST, Fault.ANSWER_STALLED):
            self._leave(handler, fault)
        elif fault is Fault.DONE_BUT_REFUSED:
            _send(handler, *_refusal(fault))
        elif fault is Fault.TRUNCATED and len(answer) > 1:
            _send(handler, status, answer[: len(answer) // 2], {**headers, "Content-Length": str(len(answer))})
            handler.close_connection = True
        elif fault is Fault.CORRUPTED and answer and asked.what == "object":
            _send(handler, status, answer[:-1] + bytes([answer[-1] ^ 0x10]), headers)
        elif fault is Fault.WRONG_ETAG and "ETag" in headers:
            _send(handler, status, answer, {**headers, "ETag": '"00000000000000000000000000000000"'})
        else:
            _send(handler, status, answer, headers)

    def _leave(self, handler: BaseHTTPRequestHandler, fault: Fault) -> None:
        """Ends the connection without a word, at once or when the client has long given up."""
        if fault in (Fault.STALLED, Fault.ANSWER_STALLED):
            self._ended.wait(30)
        handler.close_connection = True

    def _do(
        self, asked: Asked, query: Mapping[str, str], headers: Mapping[str, str], body: bytes, fault: Fault
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of an honest answer."""
        digest = headers.get("Content-MD5")
        if digest is not None and digest != b64encode(hashlib.md5(body).digest()).decode():
            return 400, _error("BadDigest"), {}
        if headers.get("x-amz-content-sha256") != hashlib.sha256(body).hexdigest():
            return 400, _error("XAmzContentSHA256Mismatch"), {}
        if asked.what == "versioning":
            return 200, b"<VersioningConfiguration/>", {}
        if asked.what == "listing":
            return 200, self._listing(query, fault), {}
        if asked.what == "uploads":
            return 200, b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>", {}
        if asked.what in ("upload", "part"):
            return self._multipart(asked, query, body)
        if asked.method == "PUT":
            self.objects[asked.key] = body
            return 200, b"", {"ETag": _etag(body)}
        if asked.method == "DELETE":
            self.objects.pop(asked.key, None)
            return 204, b"", {}
        data = self.objects.get(asked.key)
        if data is None:
            return 404, _error("NoSuchKey"), {}
        asked_range = headers.get("Range")
        if asked_range is None:
            return 200, data, {"ETag": _etag(data)}
        first, _, last = asked_range.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(data)) + 1, len(data))
        if start >= len(data):
            return 416, _error("InvalidRange"), {}
        return 206, data[start:end], {"ETag": _etag(data), "Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}

    def _multipart(self, asked: Asked, query: Mapping[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]]:
        if "uploads" in query:
            name = uuid4().hex
            self._uploads[name] = _Upload(asked.key)
            begun = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
            return 200, begun.encode(), {}
        upload = self._uploads.get(query["uploadId"])
        if asked.method == "DELETE":
            self._uploads.pop(query["uploadId"], None)
            return 204, b"", {}
        if upload is None:
            return 404, _error("NoSuchUpload"), {}
        if asked.what == "part":
            upload.parts[int(query["partNumber"])] = body
            return 200, b"", {"ETag": _etag(body)}
        self.objects[upload.key] = b"".join(upload.parts[number] for number in sorted(upload.parts))
        del self._uploads[query["uploadId"]]
        return 200, b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>", {}

    def _listing(self, query: Mapping[str, str], fault: Fault) -> bytes:
        objects = self._before if fault is Fault.STALE else self.objects
        keys = sorted(key for key in objects if key.startswith(query.get("prefix", "")))
        start = int(query.get("continuation-token", 0))
        again = keys[max(0, start - 2) : start] if fault is Fault.DUPLICATED else []
        page = again + keys[start : start + PAGE]
        more = start + PAGE < len(keys)
        contents = "".join(
            f"<Contents><Key>{quote(key)}</Key><Size>{len(objects[key])}</Size></Contents>" for key in page
        )
        token = f"<NextContinuationToken>{start + PAGE}</NextContinuationToken>" if more else ""
        return (
            f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{contents}{token}</ListBucketResult>"
        ).encode()


def _what(key: str, query: Mapping[str, str]) -> str:
    if not key:
        return next((name for name in ("uploads", "versioning") if name in query), "listing")
    if "partNumber" in query:
        return "part"
    return "upload" if "uploads" in query or "uploadId" in query else "object"


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def _error(code: str) -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>said the server</Message></Error>'.encode()


def _refusal(fault: Fault) -> tuple[int, bytes, dict[str, str]]:
    status, code = _REFUSALS[fault]
    return status, _error(code), {}


def _hung_up(handler: BaseHTTPRequestHandler) -> bool:
    """Whether the client lost its patience meanwhile, as on a machine that stood still for a while.

    Its request is as good as lost then: done now, it would overtake what the client did since.
    """
    try:
        if isinstance(handler.connection, ssl.SSLSocket):
            return False  # cannot be asked without reading
        return handler.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
