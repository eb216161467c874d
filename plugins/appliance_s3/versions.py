"""The versions of a bucket's objects: seeing, protecting and deleting them (S3 Versioning and Object Lock)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from appliance.storage.interface import ObjectNotFound, check_key
from appliance.storage.versions import LockMode, ObjectLockOff, Version
from appliance_s3.answers import (
    MalformedAnswer,
    parse_moment,
    parse_object_lock,
    parse_versioning,
    parse_versions,
    retention,
)
from appliance_s3.client import S3Client
from appliance_s3.errors import KeyMissing, LockMissing, not_s3
from appliance_s3.place import MAX_PAGES

_Parsed = TypeVar("_Parsed")


class S3Versions:
    """The versions below a place's prefix; thread-safe."""

    def __init__(self, client: S3Client) -> None:
        self._client = client
        self._place = client.place

    def are_kept(self) -> bool:
        """Whether the bucket keeps versions, or has kept some."""
        return self._parsed({"versioning": ""}, parse_versioning)

    def require_object_lock(self) -> None:
        """Raises `ObjectLockOff` unless the bucket was made with Object Lock."""
        try:
            enabled = self._parsed({"object-lock": ""}, parse_object_lock)
        except LockMissing:
            enabled = False
        if not enabled:
            raise ObjectLockOff(self._place.location)

    def older(self) -> tuple[int, int]:
        """How many versions that are not the latest there are below the prefix, and their bytes."""
        count = total = 0
        for version in self.list():
            if not (version.latest or version.marker):
                count, total = count + 1, total + version.size
        return count, total

    def list(self) -> Iterator[Version]:
        """Every version and delete marker below the prefix, by our keys."""
        root = self._place.object_key("")
        query = {"versions": "", "encoding-type": "url", "prefix": root}
        for _ in range(MAX_PAGES):
            page = self._parsed(query, parse_versions)
            for version in page.entries:
                if version.key.startswith(root) and version.key != root:
                    yield replace(version, key=version.key.removeprefix(root))
            if page.markers is None or page.markers == (query.get("key-marker"), query.get("version-id-marker")):
                return
            query["key-marker"], query["version-id-marker"] = page.markers
        raise not_s3(self._place)  # it would go on for ever

    def get(self, key: str, version: str) -> bytes:
        """The bytes of a version. `ObjectNotFound`."""
        check_key(key)
        try:
            with self._client.send("GET", self._place.object_url(key), query={"versionId": version}) as answer:
                return answer.exactly(answer.length)
        except KeyMissing:
            raise ObjectNotFound(self._place.location, key) from None

    def protected_until(self, key: str, version: str) -> datetime | None:
        """The date of a version, as HEAD tells it to who may read it."""
        check_key(key)
        try:
            with self._client.send("HEAD", self._place.object_url(key), query={"versionId": version}) as answer:
                answer.body(0)
                told = answer.headers.get("x-amz-object-lock-retain-until-date")
        except KeyMissing:
            raise ObjectNotFound(self._place.location, key) from None
        try:
            return parse_moment(told) if told else None
        except MalformedAnswer as error:
            raise not_s3(self._place) from error

    def protect(self, key: str, version: str, mode: LockMode, until: datetime) -> None:
        """PutObjectRetention."""
        check_key(key)
        query = {"retention": "", "versionId": version}
        try:
            with self._client.send(
                "PUT", self._place.object_url(key), query=query, body=retention(mode, until)
            ) as answer:
                answer.body()
        except KeyMissing:
            raise ObjectNotFound(self._place.location, key) from None

    def delete(self, key: str, version: str) -> None:
        """DeleteObject of one version, which leaves no marker."""
        check_key(key)
        try:
            with self._client.send("DELETE", self._place.object_url(key), query={"versionId": version}) as answer:
                answer.body()
        except KeyMissing:
            pass

    def _parsed(self, query: dict[str, str], parse: Callable[[bytes], _Parsed]) -> _Parsed:
        """What the bucket answers to this question."""
        with self._client.send("GET", self._place.bucket_url, query=query) as answer:
            body = answer.body()
        try:
            return parse(body)
        except MalformedAnswer as error:
            raise not_s3(self._place) from error
