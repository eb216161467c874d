"""An S3 bucket, or a folder in one, as a storage.

One request per call, except for: large objects (`multipart`), listings (a request per 1000 objects), a size that
is not there (`stat` asks again in a way that is told why), and a bucket that may be made.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypeVar

from appliance.storage.interface import (
    Buffer,
    DamagedAnswer,
    ObjectInfo,
    ObjectNotFound,
    PlaceNotFound,
    StorageError,
    Unlisted,
    check_key,
    named_hash,
)
from appliance.storage.versions import LockMode, ObjectLock, Version
from appliance_s3.answers import MalformedAnswer, parse_page, timestamp
from appliance_s3.client import Answer, S3Client
from appliance_s3.errors import KeyMissing, RangeRefused, not_s3, too_short
from appliance_s3.multipart import MultipartUploads
from appliance_s3.place import DEFAULT_REGION, MAX_PAGES
from appliance_s3.versions import S3Versions

_Answer = TypeVar("_Answer")
_log = logging.getLogger(__name__)

MAX_BARREN = 20
"""Pages of a listing in a row without any key beyond those before: S3 lists in the order of keys."""

_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


class S3Storage:
    """Objects below a prefix of a bucket; thread-safe."""

    def __init__(self, client: S3Client, object_lock: ObjectLock | None = None) -> None:
        self._client = client
        self._place = client.place
        self._object_lock = object_lock
        self._versions = S3Versions(client)
        self._uploads = MultipartUploads(client)
        self._lock = threading.Lock()
        self._bucket_is_there = not self._place.create

    @property
    def location(self) -> str:
        return self._place.location

    def put(self, key: str, data: Buffer) -> None:
        self._put(key, data, None)

    def put_in_pieces(self, key: str, data: Buffer, before: Callable[[int], None]) -> None:
        """`put`, held back or ended within the object (`SendsInPieces`). Parts that were sent then go."""
        self._put(key, data, before)

    def _put(self, key: str, data: Buffer, before: Callable[[int], None] | None) -> None:
        check_key(key)
        self._require_bucket()
        size, headers = memoryview(data).nbytes, self._protection(key)
        if size > self._place.part_limit:
            self._uploads.put(key, data, headers, before)
            return
        url = self._place.object_url(key)
        with self._client.send(
            "PUT", url, headers=headers, body=data, body_hash=named_hash(key), before=before
        ) as answer:
            self._require_etag(answer)
            answer.body()

    def _protection(self, key: str) -> dict[str, str]:
        """The headers that protect what is put under `key`."""
        until = self._object_lock.until(key) if self._object_lock else None
        if self._object_lock is None or until is None:
            return {}
        return {
            "x-amz-object-lock-mode": self._object_lock.mode.upper(),
            "x-amz-object-lock-retain-until-date": timestamp(until),
        }

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        check_key(key)
        self._require_bucket()
        if length == 0:
            return self._nothing(key, offset, 0)
        if offset == 0 and length is None:
            return self._whole(key)
        return self._range(key, offset, length)

    def stat(self, key: str) -> ObjectInfo:
        check_key(key)
        self._require_bucket()
        self._uploads.give_up(key)
        try:
            with self._client.send("HEAD", self._place.object_url(key)) as answer:
                self._require_etag(answer)
                answer.body(0)
                return ObjectInfo(key, answer.length)
        except StorageError as error:
            if error.transient:
                raise
        # An answer to HEAD has no body, so it cannot tell a missing object from a missing bucket or a wrong key.
        try:
            with self._client.send("GET", self._place.object_url(key), headers={"range": "bytes=0-0"}) as answer:
                answer.body()
                return ObjectInfo(key, self._content_range(answer)[2])
        except KeyMissing:
            raise ObjectNotFound(self.location, key) from None
        except RangeRefused:
            return ObjectInfo(key, 0)  # an empty object has no first byte

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        if prefix:
            check_key(prefix)
        return self._list(prefix)

    def unlisted(self) -> Unlisted:
        """Older versions and the parts of unfinished uploads; none, where the server or the key does not let ask."""
        self._require_bucket()
        uploads, parts = self._asked(self._uploads.parts, (0, 0), "unfinished uploads")
        keeps = self._asked(self._versions.are_kept, False, "versioning")
        versions, size = self._asked(self._versions.older, (0, 0), "older versions") if keeps else (0, 0)
        return Unlisted(parts + size, uploads + versions, keeps)

    def require_object_lock(self) -> None:
        self._versions.require_object_lock()

    def versions(self) -> Iterator[Version]:
        return self._versions.list()

    def get_version(self, key: str, version: str) -> bytes:
        return self._versions.get(key, version)

    def protected_until(self, key: str, version: str) -> datetime | None:
        return self._versions.protected_until(key, version)

    def protect(self, key: str, version: str, mode: LockMode, until: datetime) -> None:
        self._versions.protect(key, version, mode, until)

    def delete_version(self, key: str, version: str) -> None:
        self._versions.delete(key, version)

    def delete(self, key: str) -> None:
        check_key(key)
        self._require_bucket()
        try:
            with self._client.send("DELETE", self._place.object_url(key)) as answer:
                answer.body()
        except KeyMissing:
            pass

    def close(self) -> None:
        self._uploads.close()
        self._client.close()

    def _whole(self, key: str) -> bytes:
        try:
            with self._client.send("GET", self._place.object_url(key)) as answer:
                self._require_etag(answer)
                return answer.exactly(answer.length)
        except KeyMissing:
            raise ObjectNotFound(self.location, key) from None

    def _range(self, key: str, offset: int, length: int | None) -> bytes:
        last = "" if length is None else offset + length - 1
        try:
            with self._client.send(
                "GET", self._place.object_url(key), headers={"range": f"bytes={offset}-{last}"}
            ) as answer:
                first, final, size = self._content_range(answer)
                end = size if length is None else offset + length
                if first == offset and final + 1 == size < end:
                    raise too_short(self._place, key, size, end)
                if (first, final + 1) != (offset, end):
                    raise not_s3(self._place)
                return answer.exactly(end - offset)
        except KeyMissing:
            raise ObjectNotFound(self.location, key) from None
        except RangeRefused:
            return self._nothing(key, offset, length)

    def _nothing(self, key: str, offset: int, length: int | None) -> bytes:
        """The answer to a range that HTTP cannot express or the server refuses: no bytes, where that is right."""
        size = self.stat(key).size
        end = offset + (length or 0)
        if end > size:
            raise too_short(self._place, key, size, end)
        if length != 0 and offset < size:
            raise not_s3(self._place)
        return b""

    def _list(self, prefix: str) -> Iterator[ObjectInfo]:
        self._require_bucket()
        below = self._place.object_key(prefix) if prefix else self._place.prefix
        query = {"list-type": "2", "encoding-type": "url", "prefix": f"{below}/" if below else ""}
        root, furthest, barren = self._place.object_key(""), "", 0
        for _ in range(MAX_PAGES):
            with self._client.send("GET", self._place.bucket_url, query=query) as answer:
                body = answer.body()
            try:
                page = parse_page(body)
            except MalformedAnswer as error:
                raise not_s3(self._place) from error
            last = max((key for key, _ in page.objects), default="")
            furthest, barren = (last, 0) if last > furthest else (furthest, barren + 1)
            for key, size in page.objects:
                # Whatever lies below the prefix takes up what was contracted, whoever put it there.
                if key.startswith(root) and key != root:
                    yield ObjectInfo(key.removeprefix(root), size)
            if page.next_token is None:
                return
            if barren >= MAX_BARREN or page.next_token == query.get("continuation-token"):
                break
            query["continuation-token"] = page.next_token
        raise not_s3(self._place)  # it would go on for ever

    def _asked(self, question: Callable[[], _Answer], otherwise: _Answer, about: str) -> _Answer:
        try:
            return question()
        except StorageError as error:
            if error.transient or isinstance(error, (DamagedAnswer, PlaceNotFound)):
                raise
            _log.warning("%s: %s cannot be looked at: %s", self.location, about, error.what)
            return otherwise

    def _require_bucket(self) -> None:
        """Makes the bucket, once, if that is allowed and it is not there."""
        if self._bucket_is_there:
            return
        with self._lock:
            if self._bucket_is_there:
                return
            url = self._place.bucket_url
            try:
                with self._client.send("GET", url, query={"list-type": "2", "max-keys": "1"}) as answer:
                    answer.body()
            except PlaceNotFound:
                region = self._place.region
                wish = b"" if region == DEFAULT_REGION else _location_constraint(region)
                with self._client.send("PUT", url, body=wish) as answer:
                    answer.body()
            self._bucket_is_there = True

    def _require_etag(self, answer: Answer) -> None:
        """Every S3 server names the version it stored or sends; a sign-in page does not."""
        if not answer.headers.get("etag"):
            raise not_s3(self._place)

    def _content_range(self, answer: Answer) -> tuple[int, int, int]:
        """First and last byte of the answer, and the object's size."""
        match = _RANGE.fullmatch(answer.headers.get("content-range", ""))
        if answer.status != 206 or match is None:
            raise not_s3(self._place)
        return int(match[1]), int(match[2]), int(match[3])


def _location_constraint(region: str) -> bytes:
    return (
        f"<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
    ).encode()
