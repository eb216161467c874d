"""Objects too large for one request, sent in parts.

A part that is stored but belongs to no object yet is paid for and seen by no listing of objects. So nothing is
left behind: an upload that failed for good is aborted, one whose abort failed too is aborted at the next chance, and
what a killed run left is found by its age. One that only broke off goes on at the part it lacks when it is put again;
whoever looks for its object instead has given it up.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from appliance.storage.interface import Buffer, StorageError, Unreachable
from appliance.text import T
from appliance_s3.answers import (
    MalformedAnswer,
    Upload,
    completion,
    parse_parts,
    parse_upload_id,
    parse_uploads,
    parse_xml,
)
from appliance_s3.client import S3Client
from appliance_s3.errors import KeyMissing, broken_off, not_s3
from appliance_s3.place import MAX_PAGES, MAX_PARTS

STALE_AFTER = timedelta(hours=24)
"""An upload this old belongs to a run that was killed."""

_log = logging.getLogger(__name__)


@dataclass
class _Begun:
    """An upload that broke off: of which content, and the parts that are stored, in order."""

    upload: Upload
    digest: bytes
    etags: list[str]


class MultipartUploads:
    """The multipart uploads of one place; thread-safe."""

    def __init__(self, client: S3Client) -> None:
        self._client = client
        self._place = client.place
        self._lock = threading.Lock()
        self._left_over: list[Upload] = []
        self._begun: dict[str, _Begun] = {}
        self._swept = False

    def put(
        self, key: str, data: Buffer, headers: Mapping[str, str], before: Callable[[int], None] | None = None
    ) -> None:
        """Stores `data` in parts of `part_limit` bytes, larger ones where there would be too many.

        `headers` go with the object; `before` hears of each piece, in bytes, that is about to be sent.
        """
        self._tidy()
        self._require_none_left_over()
        content = memoryview(data).cast("B")
        url = self._place.object_url(key)
        begun = self._take_up(key, content) or self._begin(key, url, headers)
        try:
            self._send_parts(url, begun, content, before)
            self._complete(url, begun.upload, begun.etags)
        except StorageError as error:
            if isinstance(error, KeyMissing):
                # The server lost or ended the upload, and its parts with it: it can be sent from its beginning.
                self._abort_or_remember(begun.upload)
                raise broken_off(self._place) from error
            if not error.transient:
                self._abort_or_remember(begun.upload)
                raise
            begun.digest = _digest(content)
            with self._lock:
                self._begun[key] = begun
            raise
        except BaseException:
            self._abort_or_remember(begun.upload)
            raise

    def give_up(self, key: str) -> None:
        """Aborts the upload of this object that broke off, if there is one. Raises `StorageError`; then it stays."""
        with self._lock:
            begun = self._begun.get(key)
        if begun is not None:
            self._abort(begun.upload)
            with self._lock:
                self._begun.pop(key, None)

    def _begin(self, key: str, url: str, headers: Mapping[str, str]) -> _Begun:
        try:
            with self._client.send("POST", url, query={"uploads": ""}, headers=headers) as answer:
                upload = Upload(self._place.object_key(key), parse_upload_id(answer.body()), self._client.now())
        except MalformedAnswer as error:
            raise not_s3(self._place) from error
        return _Begun(upload, b"", [])

    def _take_up(self, key: str, content: memoryview) -> _Begun | None:
        """The upload of this very content that broke off; one of another content is aborted."""
        with self._lock:
            begun = self._begun.pop(key, None)
        if begun is not None and begun.digest != _digest(content):
            self._abort_or_remember(begun.upload)
            return None
        return begun

    def abort_stale(self) -> int:
        """Aborts every upload below the prefix that was begun longer ago than `STALE_AFTER`; their number."""
        limit = self._client.now() - STALE_AFTER
        stale = [
            upload
            for upload in self._unfinished()
            if upload.initiated < limit and self._place.own_key(upload.key) is not None
        ]
        for upload in stale:
            self._abort(upload)
        return len(stale)

    def close(self) -> None:
        """Aborts what broke off, and what could not be aborted before."""
        with self._lock:
            broken, self._begun = [begun.upload for begun in self._begun.values()], {}
        for upload in broken:
            self._abort_or_remember(upload)
        self._abort_left_over()

    def _abort_left_over(self) -> None:
        with self._lock:
            left, self._left_over = self._left_over, []
        for upload in left:
            self._abort_or_remember(upload)

    def parts(self) -> tuple[int, int]:
        """How many uploads below the prefix are unfinished, and the bytes their parts take up."""
        unfinished = self._unfinished()
        return len(unfinished), sum(self._size(upload) for upload in unfinished)

    def _size(self, upload: Upload) -> int:
        query = {"uploadId": upload.id}
        total = 0
        for _ in range(MAX_PAGES):
            try:
                with self._client.send("GET", self._place.url(upload.key), query=query) as answer:
                    body = answer.body()
            except KeyMissing:
                return total  # finished or aborted meanwhile
            try:
                size, marker = parse_parts(body)
            except MalformedAnswer as error:
                raise not_s3(self._place) from error
            total += size
            if marker is None or marker == query.get("part-number-marker"):
                return total
            query["part-number-marker"] = marker
        raise not_s3(self._place)  # it would go on for ever

    def _require_none_left_over(self) -> None:
        """A new upload beside parts that could not be removed would take up more than its object."""
        with self._lock:
            left = bool(self._left_over)
        if left:
            raise Unreachable(
                T(
                    "An earlier upload broke off, and its parts in {place} are not removed yet.",
                    place=self._place.location,
                ),
                safe=T("Nothing more was sent."),
                todo=T("It is tried again by itself; if it lasts, ask your service provider."),
                transient=True,
            )

    def _tidy(self) -> None:
        with self._lock:
            swept, self._swept = self._swept, True
        if not swept:
            try:
                self.abort_stale()
            except StorageError as error:  # the key may lack this right; the upload itself does not need it
                _log.warning("unfinished uploads of earlier runs could not be looked for: %s", error.what)
        self._abort_left_over()

    def _send_parts(self, url: str, begun: _Begun, data: memoryview, before: Callable[[int], None] | None) -> None:
        """Sends the parts that are not stored yet."""
        size = max(self._place.part_limit, -(-data.nbytes // MAX_PARTS))
        for number, begin in enumerate(range(0, data.nbytes, size), start=1):
            if number <= len(begun.etags):
                continue
            part = data[begin : begin + size]
            query = {"partNumber": str(number), "uploadId": begun.upload.id}
            with self._client.send("PUT", url, query=query, body=part, before=before) as answer:
                etag = answer.headers.get("etag")
                answer.body()
            if not etag:
                raise not_s3(self._place)
            begun.etags.append(etag)

    def _complete(self, url: str, upload: Upload, etags: list[str]) -> None:
        """S3 may answer 200 and tell an error in the body, so the body decides."""
        with self._client.send("POST", url, query={"uploadId": upload.id}, body=completion(etags)) as answer:
            body = answer.body()
            try:
                parse_xml(body, "CompleteMultipartUploadResult")
            except MalformedAnswer as error:
                raise self._client.refusal_in(answer, body) from error

    def _abort_or_remember(self, upload: Upload) -> None:
        try:
            self._abort(upload)
        except StorageError as error:
            _log.warning("an unfinished upload of %s is not aborted yet: %s", upload.key, error.what)
            with self._lock:
                self._left_over.append(upload)

    def _abort(self, upload: Upload) -> None:
        url = self._place.url(upload.key)
        try:
            with self._client.send("DELETE", url, query={"uploadId": upload.id}) as answer:
                answer.body()
        except KeyMissing:
            pass  # finished or aborted already

    def _unfinished(self) -> list[Upload]:
        prefix = f"{self._place.prefix}/" if self._place.prefix else ""
        query = {"uploads": "", "prefix": prefix}
        found: list[Upload] = []
        for _ in range(MAX_PAGES):
            with self._client.send("GET", self._place.bucket_url, query=query) as answer:
                body = answer.body()
            try:
                uploads, markers = parse_uploads(body)
            except MalformedAnswer as error:
                raise not_s3(self._place) from error
            found += (upload for upload in uploads if upload.key.startswith(prefix))
            if markers is None or markers == (query.get("key-marker"), query.get("upload-id-marker")):
                return found
            query["key-marker"], query["upload-id-marker"] = markers
        raise not_s3(self._place)  # it would go on for ever


def _digest(content: memoryview) -> bytes:
    return hashlib.sha256(content).digest()
