"""An S3 server that knows what its bucket holds after every request, and whose answers get lost now and then."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.s3 import S3Server

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class WatchedS3:
    """moto's application, one request at a time, with the bytes of `bucket` after each: versions and parts too.

    Every request for one of the buckets that are `down` is answered with 503. `losses`: the share of PUTs and POSTs
    that are done and answered with 503, as when the answer was lost, and the same share of those that are not done.
    """

    def __init__(self, application: Wsgi, seed: int) -> None:
        self._application = application
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self.bucket = ""
        self.down: set[str] = set()
        self.losses = 0.0
        self.totals: list[int] = []
        self.reached = threading.Condition()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        with self._lock:
            if environ["PATH_INFO"].split("/")[1] in self.down:
                return _unavailable(start_response)
            writes = environ["REQUEST_METHOD"] in ("PUT", "POST")
            dice = self._chance.random() if writes else 1.0
            if dice < self.losses:
                return _unavailable(start_response)
            answer = self._do(environ, body)
            if self.bucket:
                self.totals.append(self._total())
            if dice < 2 * self.losses:
                return _unavailable(start_response)
        with self.reached:
            self.reached.notify_all()
        status, headers, content = answer
        start_response(status, headers)
        return [content]

    def _do(self, environ: dict[str, Any], body: bytes) -> tuple[str, list[Any], bytes]:
        import io

        told: list[Any] = []
        environ["wsgi.input"] = io.BytesIO(body)
        parts = self._application(environ, lambda status, headers, _=None: told.append((status, headers)))
        content = b"".join(parts)
        return told[0][0], told[0][1], content

    def _total(self) -> int:
        """As moto itself keeps it: every version of every key, and every part of an upload that is not finished."""
        from moto.s3.models import s3_backends

        bucket = s3_backends["123456789012"]["aws"].buckets[self.bucket]
        versions = sum(
            key.size for keys in dict.values(bucket.keys) for key in keys if getattr(key, "size", None) is not None
        )
        parts = sum(part.contentsize for upload in bucket.multiparts.values() for part in upload.parts.values())
        return int(versions + parts)

    def wait_for(self, requests: int, ended: Callable[[], bool], patience: float = 240.0) -> None:
        """Waits until so many more requests were done, or their maker has `ended`: a full bucket ends a writer."""
        target, deadline = len(self.totals) + requests, time.monotonic() + patience
        with self.reached:
            while len(self.totals) < target and not ended():
                assert time.monotonic() < deadline, "too few requests came"
                self.reached.wait(0.1)


def _unavailable(start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "0")])
    return [b"slow down"]


@contextmanager
def watched_s3(seed: int) -> Iterator[tuple[WatchedS3, S3Server]]:
    """The server on a port of its own. moto's buckets are those of the whole process."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    watched = WatchedS3(DomainDispatcherApplication(create_backend_app), seed)
    server = make_server("127.0.0.1", 0, watched, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield watched, S3Server(f"http://127.0.0.1:{server.port}", "moto-key", "moto-secret")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
